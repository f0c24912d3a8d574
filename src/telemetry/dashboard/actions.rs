//! Actions of the operator: a crawl is cancelled, a snapshot dropped, the level of the log changed.

use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use serde_json::json;
use url::form_urlencoded;

use super::page::answer;
use crate::config::AdminActions;
use crate::gateway::Gateway;
use crate::response::Body;
use crate::snapshot::DropOutcome;
use crate::telemetry::admin_token::ShownToken;
use crate::telemetry::log_level::LogLevel;

/// Actions, if the configuration allows them.
#[derive(Debug)]
pub(super) struct Actions {
    pub(super) gateway: Gateway,
    pub(super) log_level: LogLevel,
    pub(super) allowed: AdminActions,
}

impl Actions {
    /// Answers a POST that asks for an action; none for another path.
    pub(super) fn answer(&self, uri: &Uri, headers: &HeaderMap, token: Option<ShownToken>) -> Option<Response<Body>> {
        let segments: Vec<_> = uri.path().strip_prefix('/')?.split('/').collect();
        let act: &dyn Fn() -> Response<Body> = match segments[..] {
            ["crawls", number, "cancel"] => &|| self.cancel(number),
            ["snapshots", id, "drop"] => &|| self.drop_snapshot(id),
            ["log-level"] => &|| self.set_log_level(uri.query().unwrap_or_default()),
            _ => return None,
        };
        Some(self.refusal(headers, token).unwrap_or_else(act))
    }

    /// Returns the refusal of a request that no page of this address and no holder of the token has made.
    fn refusal(&self, headers: &HeaderMap, token: Option<ShownToken>) -> Option<Response<Body>> {
        if self.allowed == AdminActions::Refused {
            let hint = "set admin_actions = true at the top of the configuration, and restart";
            return Some(problem(StatusCode::FORBIDDEN, "actions are not allowed at this address", hint));
        }
        if token == Some(ShownToken::Bearer) || is_same_origin(headers) {
            return None;
        }
        let hint = "use the dashboard of this address, or send admin_token as a bearer token; without a token, \
                    send the address as the field Origin";
        Some(problem(StatusCode::FORBIDDEN, "the request does not come from this address's own page", hint))
    }

    fn cancel(&self, number: &str) -> Response<Body> {
        match number.parse().is_ok_and(|number| self.gateway.crawl_table().cancel(number)) {
            true => done(),
            false => gone("no such crawl is under way"),
        }
    }

    fn drop_snapshot(&self, id: &str) -> Response<Body> {
        let Ok(id) = id.parse() else { return gone("no such snapshot is kept") };
        match self.gateway.registry().drop_idle(id) {
            DropOutcome::Dropped => done(),
            DropOutcome::InUse => problem(
                StatusCode::CONFLICT,
                "the snapshot is written or read at the moment",
                "cancel its crawl first, or wait for its readers",
            ),
            DropOutcome::Unknown => gone("no such snapshot is kept"),
        }
    }

    fn set_log_level(&self, query: &str) -> Response<Body> {
        let level = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "level");
        match self.log_level.set(&level.unwrap_or_default().1) {
            Ok(()) => done(),
            Err(mistake) => problem(
                StatusCode::BAD_REQUEST,
                &format!("the level of the log stays as it was: {mistake}"),
                "write the level into the query, as ?level=debug or ?level=info,unpage::upstream=debug",
            ),
        }
    }
}

/// Returns true where the request was made by a page of the same origin. Browsers send `Origin` with every POST, and `Sec-Fetch-Site` to
/// addresses that they trust; a page can set neither.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = text("host");
    let origin = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    origin.is_some() && origin == host
}

/// Returns the way back to the page: a form needs no script.
fn done() -> Response<Body> {
    let mut response = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "done\n".to_owned());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    response
}

fn gone(what: &str) -> Response<Body> {
    problem(StatusCode::NOT_FOUND, what, "look at the dashboard again: it may have ended meanwhile")
}

/// Returns a problem report (RFC 9457).
pub(in crate::telemetry) fn problem(status: StatusCode, detail: &str, hint: &str) -> Response<Body> {
    let title = status.canonical_reason();
    let report = json!({ "status": status.as_u16(), "title": title, "detail": detail, "hint": hint });
    answer(status, "application/problem+json", format!("{report:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_same_origin_acts() {
        let is_same = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_same_origin(&HeaderMap::from_iter(fields))
        };
        assert!(is_same(&[("sec-fetch-site", "same-origin")]));
        assert!(is_same(&[("host", "a:9090"), ("origin", "http://a:9090")]));
        for fields in [
            &[][..],
            &[("host", "a:9090")],
            &[("host", "a:9090"), ("origin", "null")],
            &[("host", "a:9090"), ("origin", "http://b:9090")],
            &[("host", "a:9090"), ("origin", "http://a:9091")],
            &[("host", "a:9090"), ("origin", "http://a:9090"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!is_same(fields), "{fields:?}");
        }
    }
}
