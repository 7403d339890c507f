//! What to make of a detection's findings, as a part of reports and pages.

use askama::Template;
use askama::filters::HtmlSafe;
use hindcast_detections::Guide;

/// Harmless causes, how to confirm and what to do next.
#[derive(Template)]
#[template(path = "report/guide.html")]
pub struct GuidePart {
    /// The detection's guide.
    pub guide: &'static Guide,
}

impl HtmlSafe for GuidePart {}
