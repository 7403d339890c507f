//! Locations of the lake's client addresses, as a side table for the analyses that need them.

use hindcast_base::Result;
use hindcast_detections::analyses::correlation::OFFICE_ADDRESSES;
use hindcast_detections::analyses::{LOCATIONS, Locations};
use hindcast_detections::findings::Row;

use super::merge::Merger;
use super::plan::ScanPlan;
use super::run::RunOptions;
use super::spilled::AnalysisRows;

/// Adds the side table, if an analysis needs locations and there is a database.
pub(super) async fn add_locations(
    merger: &mut Merger<'_>,
    plan: &ScanPlan,
    options: &RunOptions<'_>,
) -> Result<()> {
    let is_needed = plan.analyses.iter().any(|analysis| analysis.locations != Locations::Unused);
    let Some(database) = options.locations.filter(|_| is_needed) else { return Ok(()) };
    let query = options.config.detections.by_id(OFFICE_ADDRESSES);
    let Some(query) = query.filter(|query| merger.has_state_for(query)) else { return Ok(()) };
    let answers = merger.run(&[query]).await?;
    let Some(addresses) = answers.get(OFFICE_ADDRESSES).and_then(AnalysisRows::held) else { return Ok(()) };
    let rows = (0..addresses.num_rows()).map(|index| Row::new(addresses, index));
    merger.add_side_table(&LOCATIONS, &database.locate(rows.filter_map(|row| row.text("address")))?).await
}
