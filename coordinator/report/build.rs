//! Extracts the chart library's script from its crate, so that the binary contains only the script, and neither the
//! crate nor its copy of MathJax. As a build dependency, the crate also does not change features of the binary's
//! dependencies.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    // The crate returns its scripts in tags, Plotly's first.
    let tags = plotly::Plot::offline_js_sources();
    let (_, opened) = tags.split_once('>').ok_or("the plotly crate returns no script")?;
    let (script, _) = opened.split_once("</script").ok_or("the plotly crate's script does not end")?;
    let folder = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    std::fs::write(PathBuf::from(folder).join("plotly.min.js"), script)?;
    Ok(())
}
