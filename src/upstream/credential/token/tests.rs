use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::service_fn;
use url::Url;

use super::*;
use crate::config::{FieldForm, Grant, ParamEncoding};
use crate::pagination::{Path, Source};
use crate::upstream::transport::{OutgoingBody, Transport};

fn path(text: &str) -> Path {
    Path::singular(text).unwrap()
}

/// A holder whose endpoint answers its n-th request so, and the count of its requests.
fn holder_of<A>(answer: A) -> (Arc<TokenHolder>, Arc<AtomicUsize>)
where
    A: Fn(usize) -> (u16, String) + Clone + Send + Sync + 'static,
{
    let settings = TokenSettings {
        url: Url::parse("http://login/token").unwrap(),
        method: Method::POST,
        grant: Grant::Login,
        client: None,
        params: Vec::new(),
        encoding: ParamEncoding::Form,
        access: Source::Body(path("access_token")),
        expires_in: path("expires_in"),
        lifetime: None,
        expired: Vec::new(),
    };
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let service = service_fn(move |_: Request<OutgoingBody>| {
        let (number, answer) = (asked.fetch_add(1, Ordering::Relaxed) + 1, answer.clone());
        async move {
            tokio::task::yield_now().await;
            let (status, body) = answer(number);
            let mut response = Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    let upstream = Upstream::at(Url::parse("http://api").unwrap());
    let endpoint = TokenEndpoint::new(&settings, &upstream).unwrap().through(Transport::new(service));
    let place = SecretPlace::Header(AUTHORIZATION, FieldForm::Prefixed("Bearer "));
    (Arc::new(TokenHolder::of(&place, &settings, endpoint)), count)
}

fn token(number: usize, lifetime: &str) -> (u16, String) {
    (200, format!("{{\"access_token\":\"t{number}\",\"expires_in\":{lifetime}}}"))
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end() {
    for (lifetime, until) in [("3600", 3540), ("\"100\"", 90), ("20.5", 18)] {
        let (holder, count) = holder_of(move |number| token(number, lifetime));
        let start = Instant::now();
        let mut renewed = Vec::new();
        for second in 0..=until {
            tokio::time::advance(start + Duration::from_secs(second) - Instant::now()).await;
            renewed.push(holder.current().await.unwrap().text().to_owned());
        }
        renewed.dedup();
        assert_eq!(renewed, ["t1", "t2"], "{lifetime}");
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
    // Of these the end is not known.
    for lifetime in ["0", "-1", "null", "\"soon\"", "[]"] {
        let (holder, count) = holder_of(move |number| token(number, lifetime));
        for _ in 0..3 {
            holder.current().await.unwrap();
            tokio::time::advance(Duration::from_secs(1_000_000)).await;
        }
        assert_eq!(count.load(Ordering::Relaxed), 1, "{lifetime}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_get_one_token_or_one_error() {
    let (holder, count) = holder_of(|number| token(number, "60"));
    let all = join_all((0..20).map(|_| holder.current())).await;
    assert!(all.into_iter().all(|token| token.unwrap().text() == "t1"));
    let first = holder.current().await.unwrap();
    first.accept();
    let all = join_all((0..20).map(|_| holder.after(&first, "/a"))).await;
    assert!(all.into_iter().all(|token| token.unwrap().unwrap().text() == "t2"));
    assert_eq!(count.load(Ordering::Relaxed), 2);
    for (status, is_transient) in [(503, true), (400, false)] {
        let (holder, count) = holder_of(move |_| (status, String::new()));
        let all = join_all((0..20).map(|_| holder.current())).await;
        assert!(all.into_iter().all(|token| token.unwrap_err().is_transient() == is_transient));
        assert_eq!(count.load(Ordering::Relaxed), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_text_of_the_held_token_is_repeated_however_often_its_renewal_fails() {
    let (holder, _) = holder_of(|number| if number == 1 { token(1, "100") } else { (500, String::new()) });
    holder.current().await.unwrap();
    tokio::time::advance(Duration::from_secs(91)).await;
    for _ in 0..4 {
        assert_eq!(holder.current().await.unwrap().text(), "t1");
        assert!(holder.secrets().iter().any(|secret| secret == "t1"));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_answer_for_ten_seconds() {
    let (holder, count) = holder_of(|number| match number {
        1 => (401, "{\"error\":\"invalid_client\",\"error_description\":\"no\\nsuch client\"}".to_owned()),
        number => token(number, "60"),
    });
    for _ in 0..9 {
        let error = holder.current().await.unwrap_err();
        let said = "no token from http://login/token: it answered 401 Unauthorized: invalid_client: no such client";
        assert!(error.to_string() == said && !error.is_transient(), "{error}");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(holder.current().await.unwrap().text(), "t2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_can_not_be_renewed_is_used_up_to_its_end() {
    let (holder, _) = holder_of(|number| if number == 1 { token(1, "100") } else { (500, String::new()) });
    for (seconds, is_token) in [(0, true), (95, true), (4, true), (2, false)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert_eq!(holder.current().await.is_ok(), is_token, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_refused_unused_are_renewed_once_in_ten_seconds() {
    let (holder, count) = holder_of(|number| token(number, "3600"));
    let mut refused = holder.current().await.unwrap();
    for second in 0..25 {
        if let Some(renewed) = holder.after(&refused, "/a").await.unwrap() {
            refused = renewed;
        }
        assert_eq!(count.load(Ordering::Relaxed), 2 + second / 10);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // One that has been of use is renewed at once.
    refused.accept();
    assert_eq!(holder.after(&refused, "/a").await.unwrap().unwrap().text(), "t5");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_always_refused_renews_once_in_ten_seconds_and_disturbs_no_other() {
    let (holder, count) = holder_of(|number| token(number, "3600"));
    let accepted = async |path| {
        let sent = holder.current().await.unwrap();
        holder.answered(&sent, StatusCode::OK, path);
    };
    let refused = async |path: &str| {
        let sent = holder.current().await.unwrap();
        let Some(renewed) = holder.after(&sent, path).await.unwrap() else { return };
        holder.answered(&renewed, StatusCode::UNAUTHORIZED, path);
    };
    for second in 0..25 {
        for _ in 0..4 {
            accepted("/good").await;
            refused("/bad").await;
            assert_eq!(count.load(Ordering::Relaxed), 2 + second / 10);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(PAUSE).await;
    // However many paths there are.
    for number in 0..100 {
        accepted("/good").await;
        refused(&format!("/bad/{number}")).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 4 + 5);
    tokio::time::advance(PAUSE).await;
    // A path that is accepted with the renewed token goes on.
    for number in 10..20 {
        accepted("/good").await;
        let sent = holder.current().await.unwrap();
        let renewed = holder.after(&sent, "/good").await.unwrap().unwrap();
        assert_eq!(renewed.text(), format!("t{number}"));
        holder.answered(&renewed, StatusCode::OK, "/good");
    }
}

#[tokio::test]
async fn a_renewal_outlives_the_request_that_waits_for_it() {
    let (holder, count) = holder_of(|number| token(number, "60"));
    tokio::select! {
        biased;
        _ = holder.current() => unreachable!("the endpoint answers later"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(holder.current().await.unwrap().text(), "t1");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
