//! The part of a nested column that a scan needs. The engine reads only the leaves of a column that a cast to that part names.

use arrow::datatypes::{DataType, Field};

use super::resolve::PlaceStep;

/// The type of a column with those fields only that lie on any of the `ways`.
pub(crate) fn narrowed(stored: &DataType, ways: &[&[PlaceStep]]) -> DataType {
    if ways.iter().any(|way| way.is_empty()) {
        return stored.clone();
    }
    let with_type = |field: &Field, ways: &[&[PlaceStep]]| {
        field.clone().with_data_type(narrowed(field.data_type(), ways))
    };
    match stored {
        DataType::Struct(fields) => {
            let kept = fields.iter().filter_map(|field| {
                let inner: Vec<&[PlaceStep]> =
                    ways.iter().filter_map(|way| after(way, field.name())).collect();
                (!inner.is_empty()).then(|| with_type(field, &inner))
            });
            DataType::Struct(kept.collect::<Vec<Field>>().into())
        }
        DataType::List(element) => DataType::List(with_type(element, &elements(ways)).into()),
        DataType::LargeList(element) => DataType::LargeList(with_type(element, &elements(ways)).into()),
        _ => stored.clone(),
    }
}

/// The rest of a way that starts with a field.
fn after<'a>(way: &&'a [PlaceStep], field: &str) -> Option<&'a [PlaceStep]> {
    match way.split_first() {
        Some((PlaceStep::Field(name), rest)) if name == field => Some(rest),
        _ => None,
    }
}

/// The ways from the elements of a list.
fn elements<'a>(ways: &[&'a [PlaceStep]]) -> Vec<&'a [PlaceStep]> {
    ways.iter().map(|way| way.get(1..).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn structure(fields: &[(&str, DataType)]) -> DataType {
        let fields = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        DataType::Struct(fields.collect::<Vec<_>>().into())
    }

    fn list(element: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("element", element, true)))
    }

    fn field(name: &str) -> PlaceStep {
        PlaceStep::Field(name.into())
    }

    #[test]
    fn only_fields_on_the_ways_remain() {
        let text = DataType::Utf8;
        let inner = structure(&[("x", text.clone()), ("y", text.clone())]);
        let stored = structure(&[("a", inner.clone()), ("b", list(inner.clone())), ("c", text.clone())]);
        let narrow = |ways: &[&[PlaceStep]]| narrowed(&stored, ways);
        let x = structure(&[("x", text.clone())]);
        assert_eq!(narrow(&[&[field("a"), field("x")]]), structure(&[("a", x.clone())]));
        assert_eq!(narrow(&[&[field("a"), field("x")], &[field("a")]]), structure(&[("a", inner.clone())]));
        let each = [field("b"), PlaceStep::Each, field("x")];
        let first = [field("b"), PlaceStep::Index(0), field("x")];
        let both = structure(&[("b", list(x)), ("c", text)]);
        assert_eq!(narrow(&[&each, &first, &[field("c")]]), both);
        assert_eq!(narrow(&[&[]]), stored);
        assert_eq!(narrow(&[&[field("b"), PlaceStep::Each]]), structure(&[("b", list(inner))]));
    }
}
