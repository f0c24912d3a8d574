//! Places of records that pages of an encoding, and records in columns, don't have.

use std::collections::HashSet;

use super::{Contradiction, Exception, Rule};
use crate::pagination::path::Segment;
use crate::pagination::{Encoding, Path, Records, RecordsShape, Style};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "records-of-xml",
        exception: Exception::Never,
        about: &["records", "encoding"],
        check: |facts| {
            let records = &facts.pagination.records;
            let is_way = |path: &Path| {
                path.segments().len() > 1 && path.segments().iter().all(|step| matches!(step, Segment::Name(_)))
            };
            let is_one_way = is_list_at_one_path(records) && records.paths.iter().all(is_way);
            // `auto` finds them.
            let is_open = records.paths.is_empty();
            (records.encoding == Encoding::Xml && !is_one_way && !is_open).then(|| Contradiction {
                at: "records",
                what: "the records of an XML page are the elements at one path of names, from the root element on"
                    .to_owned(),
                hint: "write records = \"feed.entry\", with the names of your upstream's elements",
            })
        },
    },
    Rule {
        name: "records-of-csv",
        exception: Exception::Never,
        about: &["records", "encoding"],
        check: |facts| {
            let records = &facts.pagination.records;
            let are_rows = is_list_at_one_path(records) && records.paths.iter().all(|path| path.to_string() == "rows");
            (matches!(records.encoding, Encoding::Csv(_)) && !are_rows).then(|| Contradiction {
                at: "records",
                what: "the records of a CSV page are its rows".to_owned(),
                hint: "write records = \"rows\"",
            })
        },
    },
    Rule {
        name: "csv-recognised",
        exception: Exception::Never,
        about: &["encoding"],
        check: |facts| {
            let is_recognised = matches!(facts.pagination.style, Style::Auto(_));
            (is_recognised && matches!(facts.pagination.records.encoding, Encoding::Csv(_))).then(|| Contradiction {
                at: "encoding",
                what: "the pagination of CSV pages is not recognised".to_owned(),
                hint: "set `pagination`, as pagination = \"none\" for a file of one page",
            })
        },
    },
    Rule {
        name: "columns-at-one-path",
        exception: Exception::Never,
        about: &["records", "encoding"],
        check: |facts| {
            let records = &facts.pagination.records;
            let names: HashSet<_> = records.paths.iter().filter_map(|path| path.segments().last()).collect();
            let are_named = names.iter().all(|name| matches!(name, Segment::Name(_)));
            let are_columns = are_named && names.len() == records.paths.len() && names.len() > 1;
            let is_wrong = !are_columns || records.encoding != Encoding::None;
            (records.shape == RecordsShape::Columns && is_wrong).then(|| Contradiction {
                at: "records",
                what: "columns are arrays of a JSON page, at several paths that end with different names".to_owned(),
                hint: "write records = { path = [\"ids\", \"names\"], as = \"columns\" }, and leave encoding out",
            })
        },
    },
];

fn is_list_at_one_path(records: &Records) -> bool {
    records.paths.len() == 1 && records.shape == RecordsShape::Elements
}
