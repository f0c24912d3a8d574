//! Advice that a configuration follows already, which is left out of a hint.

use super::record_settings::{OnDouble, Presence};
use super::settings::{ConsistencyLevel, Pagination};
use super::styles::{KeyUse, Style};
use super::verdict::OnMissed;
use super::{End, SameToken};

/// Returns the hint without the clauses that propose a setting of this pagination; all of it where nothing else is left.
pub(crate) fn open_advice(pagination: &Pagination, hint: &str) -> String {
    let usage = if let Style::Keyset(keyset) = &pagination.style { keyset.usage } else { KeyUse::Unknown };
    let level = |level| pagination.consistency == Some(level);
    let followed = [
        (pagination.same_token == SameToken::End, "same_token = \"end\""),
        (pagination.same_token == SameToken::Again, "same_token = \"again\""),
        (pagination.end == End::EmptyPage, "end = \"empty_page\""),
        (level(ConsistencyLevel::None), "consistency = \"none\""),
        (level(ConsistencyLevel::Detect), "consistency = \"detect\""),
        (level(ConsistencyLevel::Repair), "consistency = \"repair\""),
        (level(ConsistencyLevel::Verify), "consistency = \"verify\""),
        (pagination.records.presence == Presence::Optional, "records_optional = true"),
        (pagination.on_double == OnDouble::Drop, "on_double = \"drop\""),
        (pagination.on_missed == OnMissed::Report, "on_missed = \"report\""),
        (usage == KeyUse::Compared, "anchor = \"compared\""),
        (usage == KeyUse::LookedUp, "anchor = \"looked_up\""),
    ];
    let is_open = |clause: &&str| !followed.iter().any(|(is_set, setting)| *is_set && clause.contains(setting));
    let open = hint.split("; ").filter(is_open).collect::<Vec<_>>().join("; ");
    if open.is_empty() { hint.to_owned() } else { open.strip_prefix("or ").unwrap_or(&open).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::path::Path;
    use crate::pagination::record_settings::Records;

    #[test]
    fn only_clauses_that_are_followed_already_are_left_out() {
        let hint = "check `param`; where the last page leads to itself, set same_token = \"end\"; or crawl again";
        let plain = Pagination::of(Style::SINGLE, Records::at(Path::root()));
        assert_eq!(open_advice(&plain, hint), hint);
        let set = Pagination { same_token: SameToken::End, ..plain };
        assert_eq!(open_advice(&set, hint), "check `param`; or crawl again");
        assert_eq!(open_advice(&set, "set same_token = \"end\"; or crawl again"), "crawl again");
        assert_eq!(open_advice(&set, "set same_token = \"end\""), "set same_token = \"end\"");
    }
}
