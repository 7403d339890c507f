//! Access to the pages, and the security headers of every response: no content from other sites, only our own script, no
//! frames.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hindcast_node::is_loopback;
use hindcast_observability::ConnectionSlot;

use super::Site;
use super::frame::{Problem, link, see_other};
use crate::api::Role;

/// The cookie that holds the token of a person. Scripts can't read it.
pub(super) const COOKIE_NAME: &str = "hindcast-token";

const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    // Not "no-referrer": browsers would then not send the origin of a form.
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The user of a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Viewer {
    /// The name of the token. Empty if the site needs none.
    pub(super) name: String,
    pub(super) may_submit: bool,
}

/// Passes an allowed request on to its page, and answers any other.
pub(super) async fn guard(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let mut response = match admitted(&site, &request) {
        Ok(viewer) => {
            // Connections with a token are kept in preference to those without.
            if !viewer.name.is_empty()
                && let Some(slot) = request.extensions().get::<ConnectionSlot>()
            {
                slot.note_user_request();
            }
            request.extensions_mut().insert(viewer);
            next.run(request).await
        }
        Err(refused) => *refused,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn admitted(site: &Site, request: &Request) -> Result<Viewer, Box<Response>> {
    let refuse = |status, text: &str| Box::new(Problem::new(status, text).into_response());
    let headers = request.headers();
    let host = text(headers, "host").unwrap_or_default();
    // DNS rebinding: another site may point its own name to this machine and read the responses.
    if site.is_loopback && !is_loopback(host) {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "these pages are available only on this machine: use 127.0.0.1",
        ));
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read && !is_own_form(headers, host) {
        tracing::warn!("refused: a form from another site");
        return Err(refuse(StatusCode::FORBIDDEN, "the form comes from another site"));
    }
    let Some(tokens) = &site.tokens else { return Ok(Viewer { may_submit: true, ..Viewer::default() }) };
    let path = request.uri().path();
    if path.starts_with("/assets/") || path == "/login" {
        return Ok(Viewer::default());
    }
    match token(headers).and_then(|token| tokens.identify(&token)) {
        Some((name, role)) if is_read || role >= Role::Submit || path == "/logout" => {
            Ok(Viewer { name: name.to_owned(), may_submit: role >= Role::Submit })
        }
        Some(_) => Err(refuse(StatusCode::FORBIDDEN, "this token allows only reading")),
        None if is_read => {
            let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
            Err(Box::new(see_other(&link("/login", &[("next", wanted)]))))
        }
        None => Err(refuse(StatusCode::UNAUTHORIZED, "log in first")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a request that changes something comes from one of our pages. Browsers send the origin. Other clients send a
/// token in a header, which no other site can make a browser send.
fn is_own_form(headers: &HeaderMap, host: &str) -> bool {
    match (text(headers, "origin"), text(headers, "sec-fetch-site")) {
        (_, Some(site)) if site != "same-origin" => false,
        (Some(origin), _) => origin.split_once("://").is_some_and(|(_, of)| of == host),
        (None, Some(_)) => true,
        (None, None) => headers.contains_key("authorization"),
    }
}

/// The token of a request: from its header, or else from its cookie.
fn token(headers: &HeaderMap) -> Option<String> {
    if let Some(token) = text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        return Some(token.trim().to_owned());
    }
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE_NAME)?;
    // The cookie holds it form-encoded, because a token may contain any character.
    url::form_urlencoded::parse(format!("t={value}").as_bytes()).next().map(|(_, token)| token.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        pairs.collect()
    }

    #[test]
    fn only_our_own_forms_are_taken() {
        for (pairs, is_own) in [
            (&[("origin", "http://127.0.0.1:7484")][..], true),
            (&[("origin", "http://127.0.0.1:7484"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://elsewhere.example")], false),
            (&[("origin", "http://127.0.0.1:80")], false),
            (&[("origin", "null")], false),
            (&[("sec-fetch-site", "cross-site"), ("authorization", "Bearer x")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[], false),
            (&[("authorization", "Bearer x")], true),
        ] {
            assert_eq!(is_own_form(&headers(pairs), "127.0.0.1:7484"), is_own, "{pairs:?}");
        }
    }

    #[test]
    fn a_token_is_read_from_the_header_or_the_cookie() {
        assert_eq!(token(&headers(&[("authorization", "Bearer a b ")])).as_deref(), Some("a b"));
        let cookie = format!("x=1; {COOKIE_NAME}=a%2Bb%3B; y=2");
        assert_eq!(token(&headers(&[("cookie", cookie.as_str())])).as_deref(), Some("a+b;"));
        assert_eq!(token(&headers(&[("cookie", "x=1")])), None);
    }
}
