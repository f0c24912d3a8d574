//! Import cycles: the strongly connected components of a graph (Tarjan, 1972).

use std::collections::{BTreeMap, BTreeSet};

/// Groups of more than one node that all reach each other, the largest first.
pub(crate) fn find<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    let mut search =
        Search { edges, index: BTreeMap::new(), low: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
    for node in edges.keys() {
        if !search.index.contains_key(node) {
            search.visit(node);
        }
    }
    search.found.sort_by_key(|cycle| std::cmp::Reverse(cycle.len()));
    search.found
}

struct Search<'g, N> {
    edges: &'g BTreeMap<N, BTreeSet<N>>,
    index: BTreeMap<N, usize>,
    low: BTreeMap<N, usize>,
    stack: Vec<N>,
    found: Vec<Vec<N>>,
}

impl<N: Ord + Clone> Search<'_, N> {
    fn visit(&mut self, node: &N) {
        let index = self.index.len();
        self.index.insert(node.clone(), index);
        self.low.insert(node.clone(), index);
        self.stack.push(node.clone());
        for next in self.edges.get(node).into_iter().flatten() {
            if !self.index.contains_key(next) {
                self.visit(next);
                let low = self.low[node].min(self.low[next]);
                self.low.insert(node.clone(), low);
            } else if self.stack.contains(next) {
                let low = self.low[node].min(self.index[next]);
                self.low.insert(node.clone(), low);
            }
        }
        if self.low[node] == index {
            let start = self.stack.iter().position(|other| other == node).unwrap_or_default();
            let cycle = self.stack.split_off(start);
            if cycle.len() > 1 {
                self.found.push(cycle);
            }
        }
    }
}

#[test]
fn a_cycle_is_found_and_a_chain_is_none() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("e", "f")];
    let mut graph: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (from, to) in edges {
        graph.entry(from).or_default().insert(to);
    }
    let found: Vec<BTreeSet<_>> = find(&graph).into_iter().map(|cycle| cycle.into_iter().collect()).collect();
    assert_eq!(found, [BTreeSet::from(["a", "b", "c"]), BTreeSet::from(["d", "e"])]);
}
