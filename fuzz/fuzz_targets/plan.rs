//! No sequence of pages makes a plan panic, walk for ever, or emit records beyond those that came, however they are cut.
#![no_main]

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use unpage::batch::Batch;
use unpage::config::{Config, Machine};
use unpage::pagination::guard::Guard;
use unpage::pagination::page::Head;
use unpage::pagination::plan::{Follow, SoFar, Walk};
use unpage::pagination::split::{Shape, Splitter};
use unpage::pagination::{Caps, PageRequest};

const STYLES: [&str; 8] = [
    r#"{ type = "link_header" }"#,
    r#"{ type = "next_url", next = "next", more = { path = "more" } }"#,
    r#"{ type = "cursor", next = "next", param = "cursor", same_token = "end" }"#,
    r#"{ type = "page", param = "page", more = { path = "more" } }"#,
    r#"{ type = "offset", param = "offset", step = "next" }"#,
    r#"{ type = "keyset", key = "id", param = "after", overlap = 1 }"#,
    r#"{ type = "range", unit = "items", size = 10 }"#,
    r#"{ type = "none" }"#,
];

fuzz_target!(|data: &[u8]| {
    let Some((style, pages)) = data.split_first() else { return };
    let style = STYLES[usize::from(*style) % STYLES.len()];
    let text = format!(
        "[[collection]]\npath = '/a'\nupstream = 'http://a'\nrecords = 'r'\ntotal = 'total'\npagination = {style}\n"
    );
    let config = Config::read(&text, "", &Machine).expect("each style is valid");
    let (pagination, url) =
        (Arc::clone(&config.collections[0].pagination), url::Url::parse("http://a/a").expect("a URL"));
    let (shape, guard) = (Arc::new(Shape::of(&pagination, &Caps::default())), Guard::new(&url, &[]));
    let mut plan = Follow::new(pagination, Caps::default(), guard, PageRequest::get(url)).expect("a first request");
    for page in pages.split(|byte| *byte == 0xff) {
        let Walk::Fetch(request) = plan.step() else { return };
        let head = Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url };
        let mut splitter = Splitter::new(Arc::clone(&shape));
        let (mut came, mut emitted) = (0, 0);
        let Ok(()) = plan.begun(&head) else { return };
        for piece in page.chunks(1 + page.len() / 3) {
            let Ok(()) = splitter.feed(piece) else { return };
            let batch = splitter.take();
            came += batch.records();
            let Ok(batch) = plan.records(&head, splitter.fields(), batch) else { return };
            emitted += batch.records();
            assert!(emitted <= came);
            drop(plan.early(SoFar { head: &head, fields: splitter.fields(), records: came }));
        }
        let Ok(page) = splitter.finish() else { return };
        came += page.batch.records();
        let Ok(batches) = plan.arrived(&head, page) else { return };
        assert!(emitted + batches.iter().map(Batch::records).sum::<u64>() <= came);
    }
});
