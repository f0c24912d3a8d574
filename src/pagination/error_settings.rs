//! Errors in pages of status 200, as configured (`error_path`): conditions under which a page failed or is partial.

use serde_json::Value;

use super::error::{PageError, excerpt};
use super::error_words::Outlook;
use super::error_words::outlook_of;
use super::page::PageFields;
use super::path::Path;
use super::value_source::says_none;

/// Signs of a failure in a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorSettings {
    pub conditions: Vec<ErrorCondition>,
    pub words: OwnWords,
}

/// Use of the words by which a page tells of its own failure, beside the configured conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnWords {
    #[default]
    Heeded,
    Ignored,
}

/// Condition under which a page failed or is partial.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorCondition {
    /// Path of a value, or behind each `[*]` of one in each element of an array.
    pub path: Path,
    /// Values of good pages; without one, every value but an empty one is an error.
    pub ok: Option<Vec<Value>>,
    /// Values of errors that may pass; without one, the words of the error decide.
    pub retry: Option<Vec<Value>>,
}

/// Part of a page that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageCompleteness {
    /// The page's start: an absent member may follow.
    Beginning,
    Whole,
}

impl ErrorSettings {
    /// The sign of a value that is there.
    pub fn at(path: Path) -> Self {
        Self { conditions: vec![ErrorCondition::at(path)], words: OwnWords::Heeded }
    }

    /// Paths whose values are needed of each page.
    pub(super) fn fields(&self) -> impl Iterator<Item = Path> {
        self.conditions.iter().map(|condition| condition.path.split_at_each().0)
    }

    /// Returns true if a condition, and nothing else, judges the word at this path.
    pub(super) fn judges(&self, path: &str) -> bool {
        self.fields().any(|field| field.to_string() == path)
    }

    pub(super) fn check(&self, fields: &PageFields, extent: PageCompleteness) -> Result<(), PageError> {
        self.conditions.iter().try_for_each(|condition| condition.check(fields, extent))
    }
}

impl ErrorCondition {
    /// The condition that anything is there.
    pub fn at(path: Path) -> Self {
        Self { path, ok: None, retry: None }
    }

    fn check(&self, fields: &PageFields, extent: PageCompleteness) -> Result<(), PageError> {
        let (holder, inner) = self.path.split_at_each();
        let found = fields.get(&holder);
        if found.is_none() && extent == PageCompleteness::Beginning {
            return Ok(());
        }
        let values = self.judged_values(found, inner.as_ref(), &Value::Null);
        let failures: Vec<_> = values.into_iter().filter(|value| !self.is_good(value)).collect();
        let Some(first) = failures.first() else { return Ok(()) };
        let value = first.to_string();
        let outlook = match &self.retry {
            Some(retry) if failures.iter().all(|failure| is_one_of(failure, retry)) => Outlook::MayPass,
            Some(_) => Outlook::Lasting,
            None => outlook_of(&value),
        };
        Err(PageError::ErrorInPage { path: self.path.clone(), value: excerpt(&value), outlook })
    }

    /// Values to judge: `found`, or each value at `inner` in its elements. `holder` stands for a value that is absent.
    fn judged_values<'a>(&self, found: Option<&'a Value>, inner: Option<&Path>, holder: &'a Value) -> Vec<&'a Value> {
        match (found, inner) {
            // An array that is absent has no element that could fail, where elements can be good at all; values themselves are
            // demanded of good pages.
            (None, Some(inner)) if self.ok.is_some() && !inner.is_root() => Vec::new(),
            (None, _) => vec![holder],
            (Some(Value::Array(elements)), Some(inner)) => {
                let (place, rest) = inner.split_at_each();
                let values = |element| self.judged_values(place.of_value(element), rest.as_ref(), element);
                elements.iter().flat_map(values).collect()
            }
            (Some(value), _) => vec![value],
        }
    }

    fn is_good(&self, value: &Value) -> bool {
        self.ok.as_ref().map_or_else(|| says_none(value), |ok| is_one_of(value, ok))
    }
}

/// Returns true if the list has this value; numbers are compared by their value.
fn is_one_of(value: &Value, list: &[Value]) -> bool {
    list.iter().any(|known| match (known, value) {
        (Value::Number(known), Value::Number(found)) => known.as_f64() == found.as_f64(),
        (known, found) => known == found,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(condition: &ErrorCondition, page: &Value) -> Result<(), PageError> {
        let mut fields = PageFields::default();
        let holder = condition.path.split_at_each().0;
        if let Some(value) = holder.of_value(page) {
            fields.push(holder, value.clone());
        }
        condition.check(&fields, PageCompleteness::Whole)
    }

    fn outlook(condition: &ErrorCondition, page: &Value) -> Option<Outlook> {
        match check(condition, page) {
            Ok(()) => None,
            Err(PageError::ErrorInPage { outlook, .. }) => Some(outlook),
            Err(other) => panic!("{other}"),
        }
    }

    fn condition(path: &str, ok: Option<Value>, retry: Option<Value>) -> ErrorCondition {
        let list = |values: Value| values.as_array().unwrap().clone();
        ErrorCondition { path: path.parse().unwrap(), ok: ok.map(list), retry: retry.map(list) }
    }

    #[test]
    fn a_word_is_good_or_passes_or_is_an_error() {
        let status = condition("status", Some(json!(["OK", "ZERO_RESULTS"])), Some(json!(["INVALID_REQUEST"])));
        assert_eq!(outlook(&status, &json!({"status": "ZERO_RESULTS"})), None);
        assert_eq!(outlook(&status, &json!({"status": "INVALID_REQUEST"})), Some(Outlook::MayPass));
        assert_eq!(outlook(&status, &json!({"status": "REQUEST_DENIED"})), Some(Outlook::Lasting));
        assert_eq!(outlook(&status, &json!({})), Some(Outlook::Lasting), "a good page says so");
        let code = condition("code", Some(json!([0])), None);
        assert_eq!(outlook(&code, &json!({"code": 0.0})), None);
        assert_eq!(outlook(&code, &json!({"code": 503})), Some(Outlook::MayPass));
        assert_eq!(outlook(&code, &json!({"code": "0"})), Some(Outlook::Lasting));
    }

    #[test]
    fn each_element_says_that_it_is_good() {
        let modes = condition("entry[*].search.mode", Some(json!(["match"])), None);
        let page = |mode: &str| json!({"entry": [{"search": {"mode": "match"}}, {"search": {"mode": mode}}]});
        assert_eq!(outlook(&modes, &page("match")), None);
        assert_eq!(outlook(&modes, &page("outcome")), Some(Outlook::Lasting));
        assert_eq!(outlook(&modes, &json!({"entry": [{}]})), Some(Outlook::Lasting));
        assert_eq!(outlook(&modes, &json!({})), None, "there is none");
        let schemas = condition("schemas[*]", Some(json!(["list"])), None);
        assert_eq!(outlook(&schemas, &json!({})), Some(Outlook::Lasting), "a good page says so");
    }

    #[test]
    fn an_element_without_the_inner_array_has_nothing_to_judge() {
        let severities =
            condition("entry[*].resource.issue[*].severity", Some(json!(["information", "warning"])), None);
        let page = |issues: Value| json!({"entry": [{"resource": {"id": "1"}}, {"resource": {"issue": issues}}]});
        let warning = json!({"severity": "warning"});
        for good in [json!([warning]), json!([])] {
            assert_eq!(outlook(&severities, &page(good.clone())), None, "{good}");
        }
        for bad in [json!([warning, {"severity": "fatal"}]), json!([{}]), json!({"severity": "warning"}), json!(null)] {
            assert_eq!(outlook(&severities, &page(bad.clone())), Some(Outlook::Lasting), "{bad}");
        }
        // Without `ok` each element is an error, also one without the inner array.
        let details = condition("errors[*].details[*].code", None, Some(json!(["BUSY"])));
        let errors = |inner: Value| json!({"errors": [{"details": [{"code": "BUSY"}]}, inner]});
        assert_eq!(outlook(&details, &errors(json!({"details": [{"code": "BUSY"}]}))), Some(Outlook::MayPass));
        assert_eq!(outlook(&details, &errors(json!({"message": "denied"}))), Some(Outlook::Lasting));
        assert_eq!(outlook(&details, &json!({})), None);
    }

    #[test]
    fn each_of_several_errors_has_its_code() {
        let codes = condition("errors[*].extensions.code", None, Some(json!(["THROTTLED"])));
        let page = |codes: &[&str]| {
            let errors: Vec<_> = codes.iter().map(|code| json!({"extensions": {"code": code}})).collect();
            json!({"errors": errors})
        };
        assert_eq!(outlook(&codes, &page(&["THROTTLED", "THROTTLED"])), Some(Outlook::MayPass));
        assert_eq!(outlook(&codes, &page(&["THROTTLED", "ACCESS_DENIED"])), Some(Outlook::Lasting));
        assert_eq!(outlook(&codes, &json!({"errors": [{"message": "x"}]})), Some(Outlook::Lasting));
        for none in [json!({}), json!({"errors": null}), json!({"errors": []})] {
            assert_eq!(outlook(&codes, &none), None, "{none}");
        }
    }
}
