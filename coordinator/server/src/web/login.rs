//! Takes the token of a person and stores it in a cookie that no script can read and no other site can send.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded::byte_serialize;

use super::Site;
use super::frame::{Parameters, Problem, page, see_other};
use super::guard::COOKIE_NAME;

#[derive(Template)]
#[template(path = "web/login.html")]
struct LoginPage<'a> {
    next: &'a str,
    problem: Option<&'a str>,
}

/// The page after the login, which is always one of ours.
fn next(parameters: &Parameters) -> &str {
    let next = parameters.get("next");
    // Browsers read two slashes as the address of another site, and a backslash as a slash.
    let is_ours =
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t']);
    if is_ours { next } else { "/" }
}

pub(super) async fn form(RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::of(query.as_ref());
    page(&LoginPage { next: next(&parameters), problem: None })
}

pub(super) async fn login(State(site): State<Arc<Site>>, body: Bytes) -> Result<Response, Problem> {
    let filled = Parameters::parse(&body);
    let token = filled.get("token");
    let Some(tokens) = &site.tokens else { return Ok(see_other("/")) };
    if tokens.identify(token).is_none() {
        tracing::warn!("refused: an unknown token");
        let form = page(&LoginPage { next: next(&filled), problem: Some("the token is not known") });
        return Ok((StatusCode::UNAUTHORIZED, form).into_response());
    }
    let value: String = byte_serialize(token.as_bytes()).collect();
    Ok(with_cookie(&site, see_other(next(&filled)), &value, ""))
}

pub(super) async fn logout(State(site): State<Arc<Site>>) -> Response {
    with_cookie(&site, see_other("/login"), "", "; Max-Age=0")
}

fn with_cookie(site: &Site, mut answer: Response, value: &str, more: &str) -> Response {
    let secure = if site.is_https { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_redirects_to_no_other_site() {
        for (given, taken) in [
            ("/jobs/1?q=a", "/jobs/1?q=a"),
            ("//elsewhere.example", "/"),
            ("/\\elsewhere.example", "/"),
            ("https://elsewhere.example", "/"),
            ("", "/"),
        ] {
            let text = format!("next={}", byte_serialize(given.as_bytes()).collect::<String>());
            assert_eq!(next(&Parameters::parse(text.as_bytes())), taken);
        }
    }
}
