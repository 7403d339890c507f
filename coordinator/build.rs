//! Takes the chart library's script out of its crate, so that the binary holds the script alone: not the crate, nor the
//! MathJax that comes with it. As a build dependency it also changes no feature of what runs.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    // The crate gives its scripts in tags, Plotly's first.
    let tags = plotly::Plot::offline_js_sources();
    let (_, opened) = tags.split_once('>').ok_or("the plotly crate gives no script")?;
    let (script, _) = opened.split_once("</script").ok_or("the plotly crate's script does not end")?;
    let folder = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    std::fs::write(PathBuf::from(folder).join("plotly.min.js"), script)?;
    Ok(())
}
