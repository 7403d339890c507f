//! Spans by OTLP: the tasks of workers for a job are part of the job's trace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr};

/// Spans are sent every few seconds.
const EXPORT_LIMIT: Duration = Duration::from_secs(60);

/// A collector that stores received spans by name.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<BTreeMap<String, Vec<Span>>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let mut spans = self.0.lock().expect("spans");
        for span in scopes.flat_map(|scope| scope.spans) {
            spans.entry(span.name.clone()).or_default().push(span);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn spans(&self, name: &str) -> Vec<Span> {
        self.0.lock().expect("spans").get(name).cloned().unwrap_or_default()
    }
}

#[test]
fn tasks_on_workers_belong_to_the_trace_of_their_job() {
    let collector = Collector::default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener for a runtime");
    let address = listener.local_addr().expect("its address");
    let service = TraceServiceServer::new(collector.clone());
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)).await
    });

    let place = Place::with_demo("--days 2 --rows-per-day 2000 --seed 3");
    let mut setup = Setup::local(&place);
    setup.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".into(), format!("http://{address}")));
    let sandbox = Sandbox::start(&place, setup, 2);
    for out in ["first", "second"] {
        let output = sandbox.scan(&place.path(out), "--no-cache");
        assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    }
    // Each scan has 14 units, and each merge one shard per worker. Workers export spans in batches.
    let parts = |job: &Span, name: &str| -> Vec<Span> {
        collector.spans(name).into_iter().filter(|span| span.trace_id == job.trace_id).collect()
    };
    let is_whole = |job: &Span| parts(job, "unit").len() >= 14 && parts(job, "shard").len() >= 2;
    let start = Instant::now();
    while collector.spans("job").len() < 2 || !collector.spans("job").iter().all(is_whole) {
        assert!(start.elapsed() < EXPORT_LIMIT, "{:?}\n{}", collector.0.lock(), sandbox.logs());
        std::thread::sleep(Duration::from_millis(100));
    }
    let jobs = collector.spans("job");
    let traces: BTreeSet<Vec<u8>> = jobs.iter().map(|job| job.trace_id.clone()).collect();
    assert_eq!(traces.len(), 2, "{jobs:?}");
    for job in &jobs {
        for name in ["unit", "shard"] {
            let parts = parts(job, name);
            assert!(parts.iter().all(|part| part.parent_span_id == job.span_id), "{parts:?}");
        }
    }
    let all = ["unit", "shard"].iter().flat_map(|name| collector.spans(name)).collect::<Vec<_>>();
    assert!(all.iter().all(|span| traces.contains(&span.trace_id)), "{all:?}");
}
