//! Makes a plan of a requested scan, from the command line or the network.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use hindcast_base::entities::{Entity, EntityKind, address_of};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::analyses::{Analysis, Suite};
use hindcast_detections::config::{Config, Layer};
use hindcast_lake::{Lake, TableVersions};
use hindcast_proto::v1::{Investigation, ScanRequest, TableVersion};

use super::outline_message::entity_kind_of;
use super::plan::{PlanRequest, ScanPlan, WindowRequest, plan_scan, plan_window};
use super::sources::Sources;
use crate::geoip::{LocationDatabase, LocationSource};
use crate::lake_access::{Access, LakeLayers, open_lake};
use crate::own_detections::{DetectionPolicy, OwnFiles, take_folders};

/// A plan with the parameters to run it with.
#[derive(Debug)]
pub struct Prepared {
    /// Parameters.
    pub config: Config,
    /// What to read and compute.
    pub plan: ScanPlan,
}

/// Checks `request` as far as that is possible without the lake. Names that only detections of a lake could define are checked when
/// it runs, if lakes may bring detections.
///
/// # Errors
/// [`Error::Invalid`] for an unknown suite, analysis or preset, a wrong window or a wrong configuration; [`Error::Denied`] if the
/// request brings detections that are not allowed.
pub fn check_request(request: &ScanRequest, policy: &DetectionPolicy) -> Result<()> {
    let known = files_of(request, policy)?.load()?;
    if !policy.allows_others() {
        return plan_request_of(request, known).map(drop);
    }
    let (analyses, config) = (Vec::new(), String::new());
    plan_request_of(&ScanRequest { analyses, config, ..request.clone() }, known).map(drop)
}

/// The detection files that a request is run with, in addition to those of its lake.
fn files_of(request: &ScanRequest, policy: &DetectionPolicy) -> Result<OwnFiles> {
    let (folders, _) = take_folders(&request.config_name, &request.config)?;
    if !folders.is_empty() {
        return Err(Error::Invalid(format!(
            "{}: the configuration of a request names folders of detections; send the texts of their files with the request instead",
            request.config_name
        )));
    }
    policy.with(&OwnFiles::of_request(&request.detections)?, "the request")
}

/// What `request` means, given the `known` detections.
///
/// # Errors
/// [`Error::Invalid`] for an unknown suite, analysis or preset, a wrong window or a wrong configuration.
fn plan_request_of(request: &ScanRequest, known: Detections) -> Result<PlanRequest> {
    let window = match request.last_us {
        Some(length_us) if length_us > 0 => WindowRequest::Last(length_us),
        Some(_) => return Err(Error::Invalid("the window has no length".into())),
        None => WindowRequest::Between(request.from_us, request.to_us),
    };
    let only = request.analyses.iter().map(|name| analysis_named(name, known)).collect::<Result<Vec<_>>>()?;
    let suites = if request.suites.is_empty() {
        Suite::ALL.to_vec()
    } else {
        request.suites.iter().map(|name| suite_named(name)).collect::<Result<_>>()?
    };
    if let Some(other) = only.iter().find(|analysis| !suites.contains(&analysis.suite)) {
        return Err(Error::Invalid(format!(
            "{} is of the suite {}, which --suite leaves out",
            other.id,
            other.suite.name()
        )));
    }
    let investigated = request.investigation.as_ref().map(entity_of).transpose()?;
    versions_of(request)?;
    Config::load_with(&request.preset, &own_layer(request).into_iter().collect::<Vec<_>>(), known)?;
    Ok(PlanRequest { window, suites, only, investigated, detections: known })
}

/// Plans `request` within the limits of `access` and `policy`, with the location database `locations`.
///
/// # Errors
/// As [`check_request`], and [`Error::Invalid`] if the lake may not be read or has no data in the window.
pub async fn prepare(
    request: &ScanRequest,
    access: &Access,
    policy: &DetectionPolicy,
    locations: Option<&LocationDatabase>,
    runtime: &Arc<RuntimeEnv>,
) -> Result<Prepared> {
    let (lake, plan_request, config) = opened(request, access, policy).await?;
    let plan =
        plan_scan(&lake, &plan_request, &config, locations.map(LocationDatabase::source), runtime).await?;
    Ok(Prepared { config, plan })
}

/// Plans window after window of a lake; what the windows share is looked up once.
#[derive(Debug)]
pub struct WindowPlanner {
    /// Parameters.
    pub config: Config,
    request: PlanRequest,
    sources: Sources,
    locations: Option<LocationSource>,
}

impl WindowPlanner {
    /// A planner for `request`, whatever its window.
    ///
    /// # Errors
    /// As [`prepare`], except for a window without data.
    pub async fn open(
        request: &ScanRequest,
        access: &Access,
        policy: &DetectionPolicy,
        locations: Option<&LocationDatabase>,
    ) -> Result<Self> {
        let (lake, plan_request, config) = opened(request, access, policy).await?;
        let sources = Sources::of(&lake, &plan_request).await?;
        Ok(Self {
            config,
            request: plan_request,
            sources,
            locations: locations.map(LocationDatabase::source),
        })
    }

    /// The plan of a scan of `window`; none if the lake has no file in it.
    ///
    /// # Errors
    /// [`Error::Storage`] if a listing fails.
    pub async fn plan(&self, window: Window) -> Result<Option<ScanPlan>> {
        let locations = self.locations.clone();
        plan_window(&self.sources, &self.request, &self.config, window, locations, Vec::new()).await
    }
}

/// The lake of `request`, what to scan, and the parameters of the run.
async fn opened(
    request: &ScanRequest,
    access: &Access,
    policy: &DetectionPolicy,
) -> Result<(Lake, PlanRequest, Config)> {
    check_request(request, policy)?;
    let files = files_of(request, policy)?;
    let layers = LakeLayers { preset: &request.preset, own: own_layer(request), detections: &files };
    let (lake, config) = open_lake(&request.lake, &layers, access, policy).await?;
    let plan_request = plan_request_of(request, config.detections)?;
    Ok((lake.with_versions(versions_of(request)?)?, plan_request, config))
}

/// The versions of Delta tables that are read.
fn versions_of(request: &ScanRequest) -> Result<TableVersions> {
    let mut versions = TableVersions { as_of_us: request.as_of_us, ..TableVersions::default() };
    for TableVersion { table, number } in &request.versions {
        let earlier = match table.as_str() {
            "" => versions.only.replace(*number),
            table => versions.by_table.insert(table.to_owned(), *number),
        };
        if earlier.is_some() || (versions.only.is_some() && !versions.by_table.is_empty()) {
            return Err(Error::Invalid(
                "give one version per Delta table: N if there is one such table, otherwise TABLE=N".into(),
            ));
        }
    }
    if versions.only.is_some() && versions.as_of_us.is_some() {
        return Err(Error::Invalid("give either a version or a time of the Delta table, not both".into()));
    }
    Ok(versions)
}

fn own_layer(request: &ScanRequest) -> Option<Layer<'_>> {
    let layer = Layer { name: &request.config_name, text: &request.config };
    (!request.config.is_empty()).then_some(layer)
}

/// The kind of the entity of an investigation.
pub fn investigated_kind(investigation: &Investigation) -> Option<EntityKind> {
    entity_kind_of(investigation.kind())
}

fn entity_of(investigation: &Investigation) -> Result<Entity> {
    let kind = investigated_kind(investigation)
        .ok_or_else(|| Error::Invalid("the investigation names no known kind of entity".into()))?;
    let name = &investigation.name;
    if kind == EntityKind::Ip && address_of(name).is_none() {
        return Err(Error::Invalid(format!("{name:?} is not an address")));
    }
    Entity::of(kind, name).ok_or_else(|| Error::Invalid(format!("name the {} to investigate", kind.name())))
}

fn analysis_named(name: &str, known: Detections) -> Result<&'static Analysis> {
    let names = || known.analyses().iter().map(|analysis| analysis.id);
    let found = known.analyses().iter().copied().find(|analysis| analysis.id == name);
    found.ok_or_else(|| unknown("analysis", name, names()))
}

fn suite_named(name: &str) -> Result<Suite> {
    let found = Suite::ALL.into_iter().find(|suite| suite.name() == name);
    found.ok_or_else(|| unknown("suite", name, Suite::ALL.iter().map(|suite| suite.name())))
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let hint = did_you_mean(name, known.iter().copied());
    let stop = if hint.is_empty() { "." } else { "" };
    Error::Invalid(format!("there is no {kind} {name:?}{hint}{stop} Known: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use hindcast_base::ErrorKind;
    use hindcast_proto::v1;

    use super::*;

    fn request() -> ScanRequest {
        ScanRequest { preset: "default".into(), config_name: "own.toml".into(), ..ScanRequest::default() }
    }

    /// The error of a request that differs by `change`, from a coordinator that accepts no detections of others.
    fn refused(change: impl FnOnce(&mut ScanRequest)) -> Error {
        let mut changed = request();
        change(&mut changed);
        let policy = DetectionPolicy::of_coordinator(OwnFiles::default(), false);
        check_request(&request(), &policy).unwrap();
        check_request(&changed, &policy).unwrap_err()
    }

    #[test]
    fn wrong_requests_are_refused_with_the_fault() {
        let investigation =
            |kind: v1::EntityKind, name: &str| Some(Investigation { kind: kind.into(), name: name.into() });
        type Change = Box<dyn FnOnce(&mut ScanRequest)>;
        let version = |table: &str, number| TableVersion { table: table.into(), number };
        let cases: [(Change, &str); 12] = [
            (Box::new(|request| request.analyses = vec!["beacning".into()]), "beaconing"),
            (Box::new(|request| request.suites = vec!["fire wall".into()]), "Known: exfiltration, firewall"),
            (Box::new(|request| request.last_us = Some(0)), "the window has no length"),
            (
                Box::new(move |request| request.versions = vec![version("", 1), version("AuditLogs", 2)]),
                "one version per Delta table",
            ),
            (
                Box::new(move |request| {
                    request.versions = vec![version("AuditLogs", 1), version("AuditLogs", 2)]
                }),
                "one version per Delta table",
            ),
            (
                Box::new(move |request| {
                    request.versions = vec![version("", 1)];
                    request.as_of_us = Some(1);
                }),
                "either a version or a time",
            ),
            (
                Box::new(|request| {
                    request.analyses = vec!["beaconing".into()];
                    request.suites = vec!["office365".into()];
                }),
                "beaconing is of the suite firewall, which --suite leaves out",
            ),
            (Box::new(|request| request.preset = "none such".into()), "none such"),
            (Box::new(|request| request.config = "[beaconing]\nmax_jitter = 'x'".into()), "own.toml"),
            (
                Box::new(|request| request.config = "detections = ['here']".into()),
                "names folders of detections",
            ),
            (
                Box::new(move |request| request.investigation = investigation(v1::EntityKind::Ip, "host")),
                "\"host\" is not an address",
            ),
            (
                Box::new(move |request| {
                    request.investigation = investigation(v1::EntityKind::Unspecified, "host");
                }),
                "no known kind of entity",
            ),
        ];
        for (change, hint) in cases {
            let error = refused(change);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn detections_of_a_request_are_denied_unless_they_are_allowed() {
        let mut files = OwnFiles::default();
        files.add("rollups/own.toml", String::new(), "own.toml").unwrap();
        let detections = files.to_request().unwrap();
        let error = refused(|request| request.detections = detections);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }

    #[test]
    fn names_that_a_lake_may_define_are_left_to_the_run() {
        let unknown = ScanRequest {
            analyses: vec!["of_the_lake".into()],
            config: "[of_the_lake]\nlimit = 3".into(),
            ..request()
        };
        check_request(&unknown, &DetectionPolicy::of_own_process()).unwrap();
        let strict = DetectionPolicy::of_coordinator(OwnFiles::default(), false);
        assert!(check_request(&unknown, &strict).is_err());
    }

    #[test]
    fn a_window_is_a_length_or_two_bounds() {
        let known = Detections::built_in();
        let window = |request: ScanRequest| plan_request_of(&request, known).unwrap().window;
        assert!(matches!(window(ScanRequest { last_us: Some(5), ..request() }), WindowRequest::Last(5)));
        let bounds = ScanRequest { from_us: Some(1), ..request() };
        assert!(matches!(window(bounds), WindowRequest::Between(Some(1), None)));
        let plan = plan_request_of(&request(), known).unwrap();
        assert_eq!((plan.suites.len(), plan.only.len()), (Suite::ALL.len(), 0));
    }
}
