//! Parts that all pages share: the frame, responses and links.

use askama::Template;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
pub(super) use hindcast_base::format::{counted, format_count, format_time};
use hindcast_base::{Error, ErrorKind};
use url::form_urlencoded;

use super::guard::Viewer;

/// The frame of a page.
pub(super) struct Frame {
    /// The title of the page.
    pub(super) title: String,
    /// Links to the pages of the site, and to those of the run.
    pub(super) site: Vec<Tab>,
    pub(super) run: Vec<Tab>,
    /// The name of the run.
    pub(super) run_name: String,
    pub(super) viewer: Viewer,
}

/// A link of the navigation.
pub(super) struct Tab {
    pub(super) href: String,
    pub(super) label: &'static str,
    pub(super) is_current: bool,
}

#[derive(Template)]
#[template(path = "web/problem.html")]
struct ProblemPage<'a> {
    status: StatusCode,
    text: &'a str,
}

/// The reason why a request gets no page.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    text: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn not_found(text: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Busy => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Data | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let page = page(&ProblemPage { status: self.status, text: &self.text });
        (self.status, page).into_response()
    }
}

/// A rendered page.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered").into_response()
        }
    }
}

/// Redirects the browser to `to`.
pub(super) fn see_other(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response(),
        Err(_) => Problem::new(StatusCode::BAD_REQUEST, "this is not the address of a page").into_response(),
    }
}

/// A path with parameters.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    if encoded.is_empty() { path.to_owned() } else { format!("{path}?{encoded}") }
}

/// Parameters of a link or a form.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) fn of(query: Option<&String>) -> Self {
        Self::parse(query.map_or(&[], |query| query.as_bytes()))
    }

    /// The first value of a name, trimmed. Empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }
}

/// `initial_access` as `initial access`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_encoded_and_parameters_decoded() {
        assert_eq!(link("/a", &[("q", "user:\"x y\" &<"), ("p", "2")]), "/a?q=user%3A%22x+y%22+%26%3C&p=2");
        assert_eq!(link("/a", &[]), "/a");
        let parameters = Parameters::parse(b"q=+a+b+&s=1&s=2");
        assert_eq!((parameters.get("q"), parameters.all("s").count(), parameters.get("x")), ("a b", 2, ""));
    }

    #[test]
    fn each_kind_of_error_has_its_http_status() {
        let statuses: Vec<u16> = ErrorKind::ALL
            .into_iter()
            .map(|kind| Problem::from(Error::of_kind(kind, "text")).status().as_u16())
            .collect();
        // Invalid input, not found, conflict, denied, busy, unavailable, data, internal.
        assert_eq!(statuses, [400, 404, 409, 403, 429, 503, 500, 500]);
    }
}
