//! The run of a page, and links to its findings and entities.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_report::results::{Entry, Results};

use super::Site;
use super::frame::{Frame, Problem, Tab, format_time, link, words};
use super::guard::Viewer;
use super::runs::Runs;

/// A run, with the paths of its pages and their user.
pub(super) struct Scope {
    pub(super) results: Arc<Results>,
    /// The base path of its pages.
    base: String,
    /// The path of its first page.
    first: String,
    name: String,
    has_jobs: bool,
    /// Whether there is another run to compare with.
    has_other: bool,
    viewer: Viewer,
}

impl FromRequestParts<Arc<Site>> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, site)
            .await
            .map_err(|_| Problem::not_found("there is no such page"))?;
        let job = parameters.iter().find(|(name, _)| *name == "job").map_or("", |(_, value)| value);
        Self::of(site, job, viewer(parts)).await
    }
}

/// The user, as the guard identified them.
pub(super) fn viewer(parts: &Parts) -> Viewer {
    parts.extensions.get::<Viewer>().cloned().unwrap_or_default()
}

impl Scope {
    /// The run of `job`, or the only run of the site.
    pub(super) async fn of(site: &Site, job: &str, viewer: Viewer) -> Result<Self, Problem> {
        Ok(match &site.runs {
            Runs::Folder(folder) => Self {
                results: Arc::clone(&folder.results),
                base: String::new(),
                first: "/".to_owned(),
                name: folder.name.clone(),
                has_jobs: false,
                has_other: folder.earlier.is_some(),
                viewer,
            },
            Runs::Jobs(jobs) => {
                let base = format!("/jobs/{job}");
                let (first, name) = (base.clone(), format!("job {job}"));
                let results = jobs.results(job).await?;
                Self { results, base, first, name, has_jobs: true, has_other: true, viewer }
            }
        })
    }

    /// The frame of the page `title`. The tab of `path` is the current one.
    pub(super) fn frame(&self, title: &str, path: &str) -> Frame {
        let tab = |href: String, label, own: &str| Tab { href, label, is_current: own == path };
        Frame {
            title: title.to_owned(),
            site: site_tabs(self.has_jobs, self.has_other, path),
            run: vec![
                tab(self.first.clone(), "Overview", "/overview"),
                tab(self.path("/findings"), "Findings", "/findings"),
                tab(self.path("/incidents"), "Incidents", "/incidents"),
                tab(self.path("/entities"), "Entities", "/entities"),
                tab(self.path("/coverage"), "Coverage", "/coverage"),
            ],
            run_name: self.name.clone(),
            viewer: self.viewer.clone(),
        }
    }

    /// A path of the run.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) fn search(&self, query: &str) -> String {
        link(&self.path("/findings"), &[("q", query)])
    }

    pub(super) fn finding_path(&self, id: &str) -> String {
        self.path(&format!("/findings/{id}"))
    }

    pub(super) fn incident_path(&self, id: &str) -> String {
        self.path(&format!("/incidents/{id}"))
    }

    pub(super) fn entity_path(&self, kind: EntityKind, name: &str) -> String {
        link(&self.path("/entity"), &[("kind", kind.name()), ("name", name)])
    }

    pub(super) fn entity(&self, entity: &Entity) -> EntityLink {
        EntityLink {
            kind: words(entity.kind.name()),
            name: entity.name.clone(),
            href: self.entity_path(entity.kind, &entity.name),
        }
    }

    pub(super) fn line(&self, entry: &Entry) -> FindingLine {
        let finding = &entry.finding;
        let mut entities: Vec<EntityLink> = finding.entities.iter().map(|named| self.entity(named)).collect();
        // Two forms of a name make one link.
        entities.dedup_by(|left, right| left.href == right.href);
        FindingLine {
            href: self.finding_path(&finding.id),
            severity: finding.severity.name(),
            risk: entry.risk,
            confidence: finding.confidence,
            first_seen: format_time(finding.first_seen.as_deref()),
            analysis: finding.analysis.clone(),
            title: finding.title.clone(),
            explanation: finding.explanation.clone(),
            entities,
        }
    }

    /// The line of the finding with this id, if the run has it.
    pub(super) fn line_of(&self, id: &str) -> Option<FindingLine> {
        self.results.finding(id).map(|entry| self.line(entry))
    }
}

/// Tabs of the site.
pub(super) fn site_tabs(has_jobs: bool, has_other: bool, path: &str) -> Vec<Tab> {
    let tab = |href: &str, label| Tab { href: href.to_owned(), label, is_current: href == path };
    let jobs = has_jobs.then(|| [tab("/", "Jobs"), tab("/submit", "Submit")]);
    jobs.into_iter().flatten().chain(has_other.then(|| tab("/compare", "Compare"))).collect()
}

/// A finding in a table or list.
pub(super) struct FindingLine {
    pub(super) href: String,
    pub(super) severity: &'static str,
    pub(super) risk: u64,
    pub(super) confidence: u8,
    pub(super) first_seen: String,
    pub(super) analysis: String,
    pub(super) title: String,
    pub(super) explanation: String,
    pub(super) entities: Vec<EntityLink>,
}

pub(super) struct EntityLink {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) href: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tabs_of_a_site_depend_on_its_runs() {
        let labels = |has_jobs, has_other| -> Vec<(&str, bool)> {
            let tabs = site_tabs(has_jobs, has_other, "/submit");
            tabs.into_iter().map(|tab| (tab.label, tab.is_current)).collect()
        };
        assert_eq!(labels(true, true), [("Jobs", false), ("Submit", true), ("Compare", false)]);
        assert_eq!(labels(false, true), [("Compare", false)]);
        assert!(labels(false, false).is_empty());
    }
}
