//! Requests with randomly mutated bytes: a coordinator survives all of them and serves others. `HINDCAST_MUTATIONS` sets their number.

use bytes::{Buf, BufMut};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use hindcast_proto::v1::{ConfigPart, EntityKind, Investigation, JobId, ScanRequest, SubmitRequest};

use crate::cluster_security::{SUBMIT, channel, guarded};
use crate::sandbox::{Sandbox, Setup};
use crate::support::Place;

/// Number of mutations of each kind: `HINDCAST_MUTATIONS`, or the default.
pub fn mutations(usual: u64) -> u64 {
    std::env::var("HINDCAST_MUTATIONS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(usual)
}

/// `bytes` with random mutations.
pub fn mutated(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len().max(1)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.random_range(0..=255)),
            2 if at < bytes.len() => bytes[at] = rng.random_range(0..=255),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            4 => drop(bytes.splice(at..at, [0xff; 9])),
            5 => drop(bytes.splice(at..at, vec![b'('; rng.random_range(1..300)])),
            _ => {
                let end = (at + rng.random_range(1..20)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// A codec for raw bytes, to send invalid messages.
#[derive(Debug, Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; source.remaining()];
        source.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn send(channel: &Channel, path: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(futures::stream::iter([bytes]));
    request.metadata_mut().insert("authorization", format!("Bearer {SUBMIT}").parse().expect("a header"));
    let answers = client.streaming(request, PathAndQuery::from_static(path), Raw).await?;
    let first = answers.into_inner().message().await?;
    Ok(first.unwrap_or_default())
}

/// Valid requests of each kind. The lake may not be read, so that no request becomes a job.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let id = "01a20ac3-32dc-7536-81c3-a2ae14b70c83".to_owned();
    let scan = ScanRequest {
        lake: "/srv/nothing".into(),
        from_us: Some(1),
        to_us: Some(2_000_000),
        suites: vec!["firewall".into()],
        preset: "default".into(),
        config: "[beaconing]\nmin_sessions = 4\n[[watchlists]]\nname = 'w'\nkind = 'ip'\neffect = 'raise'\nentries = ['192.0.2.7']\n"
            .into(),
        config_name: "own.toml".into(),
        investigation: Some(Investigation { kind: EntityKind::Ip.into(), name: "192.0.2.7".into() }),
        config_hash: "ab".repeat(32),
        ..ScanRequest::default()
    };
    let job = JobId { id: id.clone() }.encode_to_vec();
    let ticket = arrow_flight::Ticket::new(format!("{id}/findings")).encode_to_vec();
    let path = arrow_flight::FlightDescriptor::new_path(vec![id.clone(), "findings".into()]).encode_to_vec();
    vec![
        ("/hindcast.v1.Jobs/Submit", SubmitRequest { id, scan: Some(scan) }.encode_to_vec()),
        ("/hindcast.v1.Jobs/Get", job.clone()),
        ("/hindcast.v1.Jobs/Cancel", job.clone()),
        ("/hindcast.v1.Jobs/Watch", job),
        ("/hindcast.v1.Jobs/KeepConfig", ConfigPart { text: b"[beaconing]".to_vec() }.encode_to_vec()),
        ("/arrow.flight.protocol.FlightService/DoGet", ticket),
        ("/arrow.flight.protocol.FlightService/GetFlightInfo", path.clone()),
        ("/arrow.flight.protocol.FlightService/GetSchema", path),
        (
            "/arrow.flight.protocol.FlightService/DoAction",
            arrow_flight::Action::new("CreatePreparedStatement", b"SELECT 1".to_vec()).encode_to_vec(),
        ),
    ]
}

#[test]
fn mutated_requests_do_no_harm() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = Sandbox::start(&place, Setup { ..guarded(&place) }, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let person = channel(&sandbox, &place.path("certificates/client")).await;
        for (kind, (path, whole)) in requests().into_iter().enumerate() {
            for seed in 0..mutations(100) {
                let mut rng = ChaCha8Rng::seed_from_u64(seed * 100 + kind as u64);
                if let Err(status) = send(&person, path, mutated(&whole, &mut rng)).await {
                    let is_gone = matches!(status.code(), Code::Unavailable | Code::Unknown);
                    assert!(!is_gone, "{path}, seed {seed}: {status}\n{}", sandbox.logs());
                }
            }
        }
    });
    assert_eq!(sandbox.get("/healthz").as_deref(), Some("alive\n"));
    let logs = sandbox.whole_logs();
    assert!(!logs.contains("panicked"), "{logs}");
}
