//! Shares of a whole on two levels, as a sunburst or a treemap.

use std::collections::BTreeMap;

use hindcast_base::Result;
use hindcast_detections::chart::{Parts, Shape};
use hindcast_detections::findings::Row;
use serde_json::json;

use super::definitions::{hex, texts, value};
use super::{COLOURS, Chart, label, neutral};

/// The chart that `definition` describes.
///
/// # Errors
/// If a template is broken.
pub(super) fn draw(definition: &Parts, rows: &[Row<'_>]) -> Result<Option<Chart>> {
    let (inner, outer) = (texts(&definition.inner, rows)?, texts(&definition.outer, rows)?);
    let mut colours: BTreeMap<String, &'static str> = BTreeMap::new();
    let mut tree = Tree::default();
    for ((row, inner), outer) in rows.iter().zip(inner).zip(outer) {
        let given = definition.colours.get(&inner).or_else(|| definition.colours.get("*"));
        let next = COLOURS[colours.len() % COLOURS.len()];
        let colour =
            *colours.entry(inner.clone()).or_insert_with(|| given.map_or(next, |colour| hex(*colour)));
        tree.add(inner, outer, value(row, definition.value.as_deref()), colour);
    }
    Ok(Some(tree.chart(&definition.title, definition.shape, &neutral(&definition.unit))))
}

/// Two levels of labels with values.
#[derive(Default)]
struct Tree {
    inner: BTreeMap<String, (f64, &'static str)>,
    outer: Vec<(String, String, f64)>,
}

impl Tree {
    fn add(&mut self, inner: String, outer: String, value: f64, colour: &'static str) {
        self.inner.entry(inner.clone()).or_insert((0.0, colour)).0 += value;
        self.outer.push((inner, outer, value));
    }

    fn chart(self, title: &str, shape: Shape, unit: &str) -> Chart {
        let (kind, height) = match shape {
            Shape::Rings => ("sunburst", 420),
            Shape::Boxes => ("treemap", 440),
        };
        let place: BTreeMap<&String, usize> =
            self.inner.keys().enumerate().map(|(index, key)| (key, index)).collect();
        let (mut ids, mut labels, mut parents, mut values, mut colours) =
            (vec![], vec![], vec![], vec![], vec![]);
        for (name, (total, colour)) in &self.inner {
            ids.push(format!("{}", place[name]));
            labels.push(label(name));
            parents.push(String::new());
            values.push(*total);
            colours.push((*colour).to_owned());
        }
        for (index, (parent, name, value)) in self.outer.iter().enumerate() {
            ids.push(format!("{}/{index}", place[parent]));
            labels.push(label(name));
            parents.push(format!("{}", place[parent]));
            values.push(*value);
            colours.push(self.inner[parent].1.to_owned());
        }
        Chart::new(title, height)
            .with(json!({
                "type": kind,
                "ids": ids,
                "labels": labels,
                "parents": parents,
                "values": values,
                "branchvalues": "total",
                "textinfo": "label+percent root",
                "hovertemplate": format!("%{{label}}: %{{value:,}} {unit}, %{{percentRoot:.1%}}<extra></extra>"),
                "marker": { "colors": colours, "line": { "width": 1.5, "color": "rgba(128,128,128,0.6)" } },
                "insidetextorientation": "horizontal",
                "tiling": { "pad": 2 },
                "pathbar": { "visible": false },
            }))
            .with_layout(json!({ "margin": { "l": 8, "r": 8, "t": 8, "b": 8 }, "uniformtext": { "minsize": 9, "mode": "hide" } }))
    }
}
