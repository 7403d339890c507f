//! The style sheets and the script, served from the binary.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::frame::Problem;

const ASSETS: [(&str, &str, &str); 4] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../../../report/assets/style.css")),
    ("web.css", "text/css; charset=utf-8", include_str!("../../assets/web.css")),
    ("web.js", "text/javascript; charset=utf-8", include_str!("../../assets/web.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
];

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        // A newer binary may have other assets.
        Some((_, kind, text)) => {
            ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "no-cache")], *text).into_response()
        }
        None => Problem::not_found("there is no such file").into_response(),
    }
}
