//! An Azure store in a separate process. Needs azurite in `PATH` (`tests/run` installs it); without it tests print a message and do
//! nothing.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::azure::MicrosoftAzureBuilder;

use crate::sandbox::free_port;
use crate::support::files_below;

pub const CONTAINER: &str = "telemetry";
/// The emulator's account and key, which its documentation names.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// An Azure store that ends with the test.
pub struct AzureStore {
    server: Child,
    port: u16,
}

impl AzureStore {
    pub fn start(folder: &Path) -> Option<Self> {
        let port = free_port();
        let server = Command::new("azurite-blob")
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"])
            .arg(folder)
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(server) = server else {
            assert!(std::env::var_os("HINDCAST_REQUIRE_AZURE").is_none(), "azurite-blob is not on the path");
            println!("skipped: azurite-blob is not on the path");
            return None;
        };
        let store = Self { server, port };
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(store);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the store did not come up");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment of a process that uses the store.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.url();
        let values = [
            ("AZURE_STORAGE_USE_EMULATOR", "true"),
            ("AZURITE_BLOB_STORAGE_URL", url.as_str()),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_ALLOW_HTTP", "true"),
        ];
        values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Uploads the files below `folder` to the same paths below the container, which must exist.
    pub fn upload(&self, folder: &Path) {
        let client = MicrosoftAzureBuilder::new()
            .with_container_name(CONTAINER)
            .with_account(ACCOUNT)
            .with_access_key(KEY)
            .with_endpoint(format!("{}/{ACCOUNT}", self.url()))
            .with_allow_http(true)
            .build()
            .expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for (relative, path) in files_below(folder) {
            let target = object_store::path::Path::parse(relative).expect("a path");
            let bytes = std::fs::read(&path).expect("a file");
            runtime.block_on(client.put(&target, bytes.into())).expect("uploaded");
        }
    }
}

impl Drop for AzureStore {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
