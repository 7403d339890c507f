//! Follows the steps of a path into nested values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, UInt64Array};
use arrow::compute::{cast, is_null, nullif, take};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::resolve::{PlaceStep, element};

/// The values at a place in a nested column.
#[derive(Debug)]
pub struct PathValues {
    source: Arc<dyn PhysicalExpr>,
    steps: Vec<PlaceStep>,
    data_type: DataType,
}

impl PathValues {
    /// The values that `steps` lead to in `source`. They have the type `data_type`.
    pub fn new(source: Arc<dyn PhysicalExpr>, steps: Vec<PlaceStep>, data_type: DataType) -> Self {
        Self { source, steps, data_type }
    }
}

impl PartialEq for PathValues {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps && self.data_type == other.data_type && self.source.eq(&other.source)
    }
}

impl Eq for PathValues {}

impl Hash for PathValues {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.steps.hash(state);
        self.source.hash(state);
    }
}

impl fmt::Display for PathValues {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.source)?;
        for step in &self.steps {
            match step {
                PlaceStep::Field(name) | PlaceStep::Key(name) => write!(formatter, ".{name}")?,
                PlaceStep::Index(index) => write!(formatter, "[{index}]")?,
                PlaceStep::Each => formatter.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

impl PhysicalExpr for PathValues {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let nested = self.source.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(follow(&nested, &self.steps)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.source]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let source = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.source));
        Ok(Arc::new(Self::new(source, self.steps.clone(), self.data_type.clone())))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The values that `steps` lead to, one per element of `array`.
///
/// # Errors
/// If the array is of a type in which the steps lead nowhere.
pub fn follow(array: &ArrayRef, steps: &[PlaceStep]) -> Result<ArrayRef> {
    let Some((step, rest)) = steps.split_first() else { return Ok(Arc::clone(array)) };
    match step {
        PlaceStep::Field(name) => follow(&field_of(array, name)?, rest),
        PlaceStep::Key(key) => follow(&value_of_key(array, key)?, rest),
        PlaceStep::Index(index) => follow(&element_at(array, *index)?, rest),
        PlaceStep::Each => {
            let lists = as_list(array)?;
            let elements = follow(lists.values(), rest)?;
            let field = Field::new("item", elements.data_type().clone(), true);
            let offsets = lists.offsets().clone();
            Ok(Arc::new(ListArray::try_new(field.into(), offsets, elements, lists.nulls().cloned())?))
        }
    }
}

/// A field of structs; null where the struct is.
fn field_of(array: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let parent = array.as_struct_opt();
    let field = parent.and_then(|parent| parent.column_by_name(name));
    let field = field.ok_or_else(|| internal_datafusion_err!("{} has no field {name}", array.data_type()))?;
    if array.null_count() == 0 || *field.data_type() == DataType::Null {
        return Ok(Arc::clone(field));
    }
    Ok(nullif(field, &is_null(array)?)?)
}

/// An element of each list; null if the list is shorter.
fn element_at(array: &ArrayRef, index: usize) -> Result<ArrayRef> {
    let lists = as_list(array)?;
    let offsets = lists.value_offsets();
    let places: UInt64Array = (0..lists.len())
        .map(|row| {
            let (start, end) = (offsets[row] as u64, offsets[row + 1] as u64);
            (lists.is_valid(row) && (index as u64) < end - start).then_some(start + index as u64)
        })
        .collect();
    Ok(take(lists.values(), &places, None)?)
}

/// The value of a key in each map: of the key itself, otherwise of the first in another case.
fn value_of_key(array: &ArrayRef, key: &str) -> Result<ArrayRef> {
    let maps: Option<&MapArray> = array.as_map_opt();
    let maps = maps.ok_or_else(|| internal_datafusion_err!("{} is no map", array.data_type()))?;
    let keys = cast(maps.keys(), &DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    let offsets = maps.value_offsets();
    let places: UInt64Array = (0..maps.len())
        .map(|row| {
            let mut own = (offsets[row] as usize..offsets[row + 1] as usize).filter(|_| maps.is_valid(row));
            let exact = own.clone().find(|place| keys.value(*place) == key);
            let found = exact.or_else(|| own.find(|place| keys.value(*place).eq_ignore_ascii_case(key)));
            found.map(|place| place as u64)
        })
        .collect();
    Ok(take(maps.values(), &places, None)?)
}

/// Lists of any kind, with offsets of 32 bits.
fn as_list(array: &ArrayRef) -> Result<ListArray> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        return Ok(lists.clone());
    }
    let element = element(array.data_type());
    let element = element.ok_or_else(|| internal_datafusion_err!("{} is no list", array.data_type()))?;
    Ok(cast(array, &DataType::List(element.clone().into()))?.as_list::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        DictionaryArray, FixedSizeListArray, Int32Array, LargeListArray, MapBuilder, StringArray,
        StringBuilder, StructArray,
    };
    use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
    use arrow::datatypes::Int32Type;
    use arrow::json::ReaderBuilder;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;

    fn field(name: &str) -> PlaceStep {
        PlaceStep::Field(name.into())
    }

    fn texts(array: &ArrayRef) -> Vec<Option<String>> {
        let array = cast(array, &DataType::Utf8).unwrap();
        array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn owned(texts: &[Option<&str>]) -> Vec<Option<String>> {
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn structure(name: &str, values: ArrayRef, nulls: Option<Vec<bool>>) -> ArrayRef {
        let fields = vec![Field::new(name, values.data_type().clone(), true)];
        Arc::new(StructArray::new(fields.into(), vec![values], nulls.map(NullBuffer::from)))
    }

    #[test]
    fn a_field_is_null_where_its_struct_is() {
        let ips: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("hidden"), None]));
        let endpoints = structure("ip", ips, Some(vec![true, false, true]));
        let outer = structure("src", endpoints, Some(vec![true, true, true]));
        let found = follow(&outer, &[field("src"), field("ip")]).unwrap();
        assert_eq!(texts(&found), owned(&[Some("a"), None, None]));
        let names: DictionaryArray<Int32Type> = vec![Some("a"), Some("b")].into_iter().collect();
        let hidden = structure("name", Arc::new(names), Some(vec![false, true]));
        assert_eq!(texts(&follow(&hidden, &[field("name")]).unwrap()), owned(&[None, Some("b")]));
        assert!(follow(&hidden, &[field("other")]).is_err());
    }

    /// `[[a, b], null, [], [c]]`, with a null that hides an element.
    fn lists() -> ListArray {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "hidden", "c"]));
        let values = structure("name", values, None);
        let item = Field::new("element", values.data_type().clone(), true);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 3, 3, 4]));
        let nulls = NullBuffer::from(vec![true, false, true, true]);
        ListArray::new(item.into(), offsets, values, Some(nulls))
    }

    #[test]
    fn elements_are_counted_from_0() {
        let lists: ArrayRef = Arc::new(lists());
        let at = |index| texts(&follow(&lists, &[PlaceStep::Index(index), field("name")]).unwrap());
        assert_eq!(at(0), owned(&[Some("a"), None, None, Some("c")]));
        assert_eq!(at(1), owned(&[Some("b"), None, None, None]));
        assert_eq!(at(9), owned(&[None, None, None, None]));
        let sliced = lists.slice(3, 1);
        let first = follow(&sliced, &[PlaceStep::Index(0), field("name")]).unwrap();
        assert_eq!(texts(&first), owned(&[Some("c")]));
    }

    #[test]
    fn all_elements_stay_a_list() {
        let lists: ArrayRef = Arc::new(lists());
        let names = follow(&lists, &[PlaceStep::Each, field("name")]).unwrap();
        let names = names.as_list::<i32>();
        assert_eq!(texts(&names.value(0)), owned(&[Some("a"), Some("b")]));
        assert!(names.is_null(1) && names.value(2).is_empty());
        assert_eq!(*names.data_type(), super::super::resolve::list_of(DataType::Utf8));
    }

    #[test]
    fn lists_of_other_kinds_are_followed() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let item = || Arc::new(Field::new("item", DataType::Int32, true));
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(item(), 2, Arc::clone(&numbers), None));
        assert_eq!(texts(&follow(&fixed, &[PlaceStep::Index(1)]).unwrap()), owned(&[Some("2"), Some("4")]));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0_i64, 3, 4]));
        let large: ArrayRef = Arc::new(LargeListArray::new(item(), offsets, numbers, None));
        assert_eq!(texts(&follow(&large, &[PlaceStep::Index(0)]).unwrap()), owned(&[Some("1"), Some("4")]));
    }

    #[test]
    fn maps_are_searched_by_key_in_any_case() {
        let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for entries in [&[("User", "ada"), ("user", "bob")][..], &[("USER", "eve")], &[("other", "x")]] {
            for (key, value) in entries {
                maps.keys().append_value(key);
                maps.values().append_value(value);
            }
            maps.append(true).unwrap();
        }
        maps.append(false).unwrap();
        let maps: ArrayRef = Arc::new(maps.finish());
        let found = follow(&maps, &[PlaceStep::Key("user".into())]).unwrap();
        assert_eq!(texts(&found), owned(&[Some("bob"), Some("eve"), None, None]));
    }

    /// The value at a path in JSON, as the doc of paths says it.
    fn at(value: &Value, steps: &[PlaceStep]) -> Value {
        let Some((step, rest)) = steps.split_first() else { return value.clone() };
        match step {
            PlaceStep::Field(name) | PlaceStep::Key(name) => {
                value.get(name).map_or(Value::Null, |value| at(value, rest))
            }
            PlaceStep::Index(index) => value.get(index).map_or(Value::Null, |value| at(value, rest)),
            PlaceStep::Each => match value {
                Value::Array(elements) => elements.iter().map(|element| at(element, rest)).collect(),
                _ => Value::Null,
            },
        }
    }

    #[test]
    fn any_path_leads_to_the_values_that_it_has_in_json() {
        let mut rng = ChaCha8Rng::seed_from_u64(25);
        let leaf = Field::new("x", DataType::Int64, true);
        let element = DataType::Struct(vec![leaf.clone(), list_field("inner", DataType::Int64)].into());
        let schema = Schema::new(vec![
            Field::new("s", DataType::Struct(vec![leaf, list_field("l", element.clone())].into()), true),
            list_field("l", element),
        ]);
        for _ in 0..200 {
            let rows: Vec<Value> = (0..rng.random_range(1..6)).map(|_| random_row(&mut rng)).collect();
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let reader = ReaderBuilder::new(Arc::new(schema.clone())).build(text.as_bytes()).unwrap();
            let batch = reader.collect::<Result<Vec<_>, _>>().unwrap().remove(0);
            let (each, first) = (PlaceStep::Each, PlaceStep::Index(rng.random_range(0..3)));
            let element = if rng.random() { each.clone() } else { first };
            let paths = [
                vec![field("s"), field("x")],
                vec![field("s"), field("l"), element.clone(), field("x")],
                vec![field("l"), element.clone(), field("inner"), each],
                vec![field("l"), element.clone(), field("inner"), PlaceStep::Index(1)],
                vec![field("l"), element],
            ];
            for path in paths {
                let PlaceStep::Field(root) = &path[0] else { panic!() };
                let found = follow(batch.column_by_name(root).unwrap(), &path[1..]).unwrap();
                let wanted: Vec<Value> = rows.iter().map(|row| at(row, &path)).collect();
                assert_eq!(hindcast_base::json::json_values(&found).unwrap(), wanted, "{path:?} of {text}");
            }
        }
    }

    fn list_field(name: &str, element: DataType) -> Field {
        Field::new(name, DataType::List(Arc::new(Field::new("item", element, true))), true)
    }

    fn random_row(rng: &mut ChaCha8Rng) -> Value {
        let number =
            |rng: &mut ChaCha8Rng| if rng.random() { json!(rng.random_range(0..9)) } else { Value::Null };
        let list = |rng: &mut ChaCha8Rng| {
            let element = |rng: &mut ChaCha8Rng| {
                let inner: Vec<Value> = (0..rng.random_range(0..3)).map(|_| number(rng)).collect();
                json!({ "x": number(rng), "inner": if rng.random() { json!(inner) } else { Value::Null } })
            };
            let elements: Vec<Value> = (0..rng.random_range(0..4)).map(|_| element(rng)).collect();
            if rng.random_range(0..4) > 0 { json!(elements) } else { Value::Null }
        };
        let structure = json!({ "x": number(rng), "l": list(rng) });
        json!({ "s": if rng.random_range(0..4) > 0 { structure } else { Value::Null }, "l": list(rng) })
    }
}
