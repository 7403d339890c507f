//! `hindcast sources`

use std::path::PathBuf;

use clap::Args;
use hindcast_base::{Error, Result};
use hindcast_import::{source_docs, sources_page};

use super::Outcome;

/// Arguments of `hindcast sources`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hindcast sources
  hindcast sources zeek")]
pub struct SourcesArguments {
    /// The source whose fields and columns to show; all sources if absent
    name: Option<String>,
    /// Write the documentation of all sources to a file as Markdown
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    docs: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &SourcesArguments) -> Result<Outcome> {
    let sources = source_docs()?;
    if let Some(path) = &arguments.docs {
        std::fs::write(path, sources_page(&sources))
            .map_err(Error::io(format!("writing {}", path.display())))?;
        println!("wrote {}", path.display());
        return Ok(Outcome::Done);
    }
    if let Some(name) = &arguments.name {
        let source = sources.iter().find(|source| source.name == *name).ok_or_else(|| {
            Error::NotFound(format!("there is no source {name:?}; `hindcast sources` lists them"))
        })?;
        println!("{}\n\n{}", source.doc, source.text.trim_end());
        return Ok(Outcome::Done);
    }
    let width = sources.iter().map(|source| source.name.len()).max().unwrap_or_default();
    for source in &sources {
        println!("{:width$}  {}", source.name, source.doc);
    }
    Ok(Outcome::Done)
}
