//! Paths with `{name}` and `{*name}` segments.

/// Returns the template with these values; a segment without a value stays, since the pagination fills it.
pub(super) fn fill(template: &str, values: &[(String, String)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let segment = behind.split_once('}').and_then(|(name, behind)| {
            let name = name.strip_prefix('*').unwrap_or(name);
            let (_, value) = values.iter().find(|(known, _)| known == name)?;
            Some((value, behind))
        });
        match segment {
            // Not read again: a value may have braces of its own.
            Some((value, behind)) => {
                filled.push_str(value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = behind;
            }
        }
    }
    filled + rest
}

/// Returns the name of a `{*name}` segment, which may be empty.
pub(super) fn rest_of(template: &str) -> Option<&str> {
    let (_, behind) = template.split_once("{*")?;
    behind.split_once('}').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn a_value_is_no_template() {
        let values =
            [("a", "{b}"), ("b", "evil"), ("rest", "x/y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (template, filled) in [
            ("/v2/{a}/list/{*rest}", "/v2/{b}/list/x/y"),
            ("/{b}{b}", "/evilevil"),
            ("/{page}/{a}", "/{page}/{b}"),
            ("/{a", "/{a"),
            ("/", "/"),
        ] {
            assert_eq!(fill(template, &values), filled);
        }
    }
}
