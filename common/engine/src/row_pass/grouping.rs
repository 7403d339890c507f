//! Groups rows by their keys and keeps the measures of each group in memory.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, UInt32Array,
};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{cast, filter_record_batch, nullif, take};
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{HashMap, Result, internal_datafusion_err, internal_err};
use datafusion::physical_expr::PhysicalExpr;
use hindcast_detections::rollups::{Aggregation, Measure, RowExpressions};
use hindcast_functions::Operation;

use super::cells::{Cells, MOST_MEASURES};
use super::gathered::Gathered;
use super::numbers::{Integers, NULL, Texts};
use super::seconds::Seconds;
use super::sheet::{Cell, Sheet, SheetRows};

/// Texts by the cell of their dictionaries, shared by all rollups of a unit.
pub(super) type SharedTexts = HashMap<Cell, Arc<Texts>>;

/// An expression in a sheet, and itself for batches whose rows are taken first.
#[derive(Debug, Clone)]
pub(super) struct Value {
    cell: Cell,
    expr: Arc<dyn PhysicalExpr>,
}

impl Value {
    pub(super) fn new(expr: &Arc<dyn PhysicalExpr>, sheet: &mut Sheet) -> Result<Self> {
        Ok(Self { cell: sheet.cell(expr)?, expr: Arc::clone(expr) })
    }

    pub(super) fn cell(&self) -> Cell {
        self.cell
    }

    pub(super) fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.expr
    }
}

/// A key of a group.
#[derive(Debug)]
struct Key {
    value: Value,
    numbers: KeyNumbers,
}

#[derive(Debug)]
enum KeyNumbers {
    Texts(Arc<Texts>),
    Integers(Integers),
}

/// A measure, as it is computed.
#[derive(Debug, Clone, Copy)]
enum Computed {
    /// The measure of the cells with this place.
    Cells(usize),
    /// What was gathered at this place.
    Gathered(usize),
}

/// A rollup's groups.
#[derive(Debug)]
pub(crate) struct Grouping {
    filter: Option<Value>,
    keys: Vec<Key>,
    /// Numbers of pairs of numbers: of the first two keys, of such a pair and the third key, and so on. The last are the groups.
    pairs: Vec<Integers>,
    /// The columns of the cells' measures; `None` counts rows.
    columns: Vec<Option<Value>>,
    cells: Cells,
    gathered: Vec<(Value, Gathered)>,
    measures: &'static [Measure],
    computed: Vec<Computed>,
    bucket: Arc<dyn PhysicalExpr>,
    state: SchemaRef,
}

impl Grouping {
    /// The empty grouping of a rollup; `None` if a key or a measure has a type that it can't hold.
    pub(super) fn new(
        keys: &[&str],
        measures: &'static [Measure],
        expressions: &RowExpressions,
        (bucket, state): (Arc<dyn PhysicalExpr>, SchemaRef),
        sheet: &mut Sheet,
        shared: &mut SharedTexts,
    ) -> Result<Option<Self>> {
        let named = |name: &str| {
            let known = expressions.columns.iter().find(|(known, _)| known == name);
            known.map(|(_, expr)| expr).ok_or_else(|| internal_datafusion_err!("there is no column {name}"))
        };
        let filter = expressions.filter.as_ref().map(|filter| Value::new(filter, sheet)).transpose()?;
        let mut held = Vec::new();
        for key in keys {
            let value = Value::new(named(key)?, sheet)?;
            let numbers = match sheet.data_type(&value.expr)? {
                DataType::Dictionary(_, _) => {
                    KeyNumbers::Texts(Arc::clone(shared.entry(value.cell).or_default()))
                }
                DataType::Utf8View | DataType::Utf8 => KeyNumbers::Texts(Arc::default()),
                kind if is_whole(&kind) => KeyNumbers::Integers(Integers::default()),
                _ => return Ok(None),
            };
            held.push(Key { value, numbers });
        }
        let (mut columns, mut operations, mut gathered, mut computed) = (vec![], vec![], vec![], vec![]);
        for measure in measures {
            let aggregation = measure.aggregation()?;
            let of = match &aggregation {
                Aggregation::Numbers(_, of) => *of,
                Aggregation::Seconds(of) | Aggregation::Texts(of, _) => Some(*of),
            };
            let value = of.map(|of| Value::new(named(of)?, sheet)).transpose()?;
            let kind = value.as_ref().map(|value| sheet.data_type(&value.expr)).transpose()?;
            match (aggregation, value, kind) {
                (Aggregation::Numbers(operation, _), value, kind)
                    if operation == Operation::Count || kind.as_ref().is_some_and(is_whole) =>
                {
                    computed.push(Computed::Cells(columns.len()));
                    columns.push(value);
                    operations.push(operation);
                }
                (Aggregation::Seconds(_), Some(value), Some(DataType::Int64)) => {
                    computed.push(Computed::Gathered(gathered.len()));
                    gathered.push((value, Gathered::Seconds(Seconds::default())));
                }
                (Aggregation::Texts(_, function), Some(value), Some(kind)) => {
                    computed.push(Computed::Gathered(gathered.len()));
                    gathered.push((value, Gathered::by(function, kind)?));
                }
                _ => return Ok(None),
            }
        }
        if operations.len() > MOST_MEASURES {
            return Ok(None);
        }
        let pairs = (1..held.len().max(2)).map(|_| Integers::default()).collect();
        let cells = Cells::new(operations);
        let grouping =
            Self { filter, keys: held, pairs, columns, cells, gathered, measures, computed, bucket, state };
        Ok(Some(grouping))
    }

    pub(super) fn filter(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.filter.as_ref().map(Value::expr)
    }

    /// Adds the rows of a batch that the filter takes.
    pub(super) fn fold(&mut self, rows: &SheetRows) -> Result<()> {
        let taken = match &self.filter {
            Some(filter) => rows.rows_where(filter.cell),
            None => Ok((0..rows.batch().num_rows() as u32).collect()),
        };
        let values = taken.and_then(|taken| {
            let count = rows.batch().num_rows();
            let of_rows = || self.values(|value| rows.value(value.cell)?.into_array(count));
            let values = if taken.is_empty() { None } else { Some(of_rows()?) };
            Ok((taken, values))
        });
        match values {
            Ok((_, None)) => Ok(()),
            Ok((taken, Some(values))) => self.add(&values, &taken),
            // It may fail for a row that the filter leaves out.
            Err(_) => self.fold_taken(rows.batch()),
        }
    }

    /// As [`Self::fold`], but the rows are taken before anything else is computed of them.
    fn fold_taken(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = match &self.filter {
            None => batch.clone(),
            Some(filter) => {
                let taken = filter.expr.evaluate(batch)?.into_array(batch.num_rows())?;
                let Some(taken) = taken.as_boolean_opt() else {
                    return internal_err!("a condition is true or false, not {}", taken.data_type());
                };
                filter_record_batch(batch, taken)?
            }
        };
        let count = batch.num_rows();
        let values = self.values(|value| value.expr.evaluate(&batch)?.into_array(count))?;
        self.add(&values, &(0..count as u32).collect::<Vec<_>>())
    }

    fn values(&self, value: impl Fn(&Value) -> Result<ArrayRef>) -> Result<Values> {
        Ok(Values {
            keys: self.keys.iter().map(|key| value(&key.value)).collect::<Result<_>>()?,
            columns: self
                .columns
                .iter()
                .map(|column| column.as_ref().map(&value).transpose())
                .collect::<Result<_>>()?,
            gathered: self.gathered.iter().map(|(gathered, _)| value(gathered)).collect::<Result<_>>()?,
        })
    }

    fn add(&mut self, values: &Values, rows: &[u32]) -> Result<()> {
        let groups = self.groups_of(&values.keys, rows)?;
        let group_count = self.group_count();
        self.cells.fold(&values.columns, rows, &groups, group_count)?;
        for ((_, gathered), column) in self.gathered.iter_mut().zip(&values.gathered) {
            gathered.push(column, rows, &groups, group_count)?;
        }
        Ok(())
    }

    fn group_count(&self) -> usize {
        self.pairs.last().map_or(0, |pairs| pairs.all().len())
    }

    /// The group of each of the rows.
    fn groups_of(&mut self, keys: &[ArrayRef], rows: &[u32]) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for (key, column) in self.keys.iter_mut().zip(keys) {
            numbers.push(key.numbers.of_rows(column, rows)?);
        }
        let mut numbers = numbers.into_iter();
        let mut groups = numbers.next().unwrap_or_else(|| vec![NULL; rows.len()]);
        let mut others = numbers;
        for pairs in &mut self.pairs {
            match others.next() {
                Some(second) => {
                    for (group, second) in groups.iter_mut().zip(second) {
                        *group = pairs.number(u64::from(*group) << 32 | u64::from(second));
                    }
                }
                None => groups.iter_mut().for_each(|group| *group = pairs.number(u64::from(*group))),
            }
        }
        Ok(groups)
    }

    /// The bytes it holds, without the texts that it shares.
    pub(super) fn bytes(&self) -> usize {
        let keys = self.keys.iter().map(|key| match &key.numbers {
            KeyNumbers::Integers(integers) => integers.bytes(),
            KeyNumbers::Texts(_) => 0,
        });
        let pairs = self.pairs.iter().map(Integers::bytes);
        let gathered = self.gathered.iter().map(|(_, gathered)| gathered.bytes());
        keys.chain(pairs).chain(gathered).sum::<usize>() + self.cells.bytes()
    }

    /// The state: a row for each group, in order of first occurrence.
    pub(super) fn finish(mut self) -> Result<RecordBatch> {
        let count = self.group_count();
        let mut columns = self.key_columns(count)?;
        let gathered = std::mem::take(&mut self.gathered);
        let gathered =
            gathered.into_iter().map(|(_, gathered)| gathered.stored(count)).collect::<Result<Vec<_>>>()?;
        let measured: HashMap<&str, Int64Array> = self
            .measures
            .iter()
            .zip(&self.computed)
            .filter_map(|(measure, computed)| match computed {
                Computed::Cells(place) => Some((measure.name, self.cells.measure(*place))),
                Computed::Gathered(_) => None,
            })
            .collect();
        for (measure, computed) in self.measures.iter().zip(&self.computed) {
            let kind = self.state.field(columns.len()).data_type();
            columns.push(match computed {
                Computed::Gathered(place) => Arc::clone(&gathered[*place]),
                Computed::Cells(_) => cast(&stored(measure, self.measures, &measured)?, kind)?,
            });
        }
        let without_bucket: Vec<usize> = (0..columns.len()).collect();
        let rows = RecordBatch::try_new(Arc::new(self.state.project(&without_bucket)?), columns)?;
        let bucket = self.bucket.evaluate(&rows)?.into_array(count)?;
        let columns = rows.columns().iter().cloned().chain([bucket]).collect();
        Ok(RecordBatch::try_new(self.state, columns)?)
    }

    fn key_columns(&self, count: usize) -> Result<Vec<ArrayRef>> {
        let mut rest: Vec<u32> = (0..count as u32).collect();
        let mut columns = Vec::new();
        for (place, key) in self.keys.iter().enumerate().rev() {
            // The first two keys are halves of one pair; a single key is the low half.
            let (numbers, more): (Vec<u32>, Vec<u32>) = match place {
                0 if self.keys.len() > 1 => (std::mem::take(&mut rest), Vec::new()),
                _ => {
                    let pairs = self.pairs[place.saturating_sub(1)].all();
                    let pair = |group: &u32| pairs[*group as usize];
                    rest.iter().map(pair).map(|pair| (pair as u32, (pair >> 32) as u32)).unzip()
                }
            };
            rest = more;
            columns.push(key.numbers.column(&numbers, self.state.field(place).data_type())?);
        }
        columns.reverse();
        Ok(columns)
    }
}

/// What a batch has for keys and measures.
struct Values {
    keys: Vec<ArrayRef>,
    columns: Vec<Option<ArrayRef>>,
    gathered: Vec<ArrayRef>,
}

/// A measure in stored form: a maximum that equals its twin is null.
fn stored(measure: &Measure, all: &[Measure], measured: &HashMap<&str, Int64Array>) -> Result<ArrayRef> {
    let of =
        |name: &str| measured.get(name).ok_or_else(|| internal_datafusion_err!("there is no measure {name}"));
    let own = of(measure.name)?;
    match measure.twin(all) {
        None => Ok(Arc::new(own.clone())),
        Some(twin) => {
            let is_equal = eq(own, of(twin)?)?;
            Ok(nullif(own, &is_equal)?)
        }
    }
}

fn is_whole(kind: &DataType) -> bool {
    matches!(kind, DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _))
}

impl KeyNumbers {
    /// The number of each of the rows, [`NULL`] for null.
    fn of_rows(&mut self, column: &ArrayRef, rows: &[u32]) -> Result<Vec<u32>> {
        match self {
            Self::Texts(texts) => match column.as_dictionary_opt::<Int32Type>() {
                Some(dictionary) => {
                    let numbers = texts.numbers(dictionary.values())?;
                    let keys = dictionary.keys().values();
                    let number = |row: &u32| numbers[keys[*row as usize] as usize];
                    Ok(match dictionary.keys().nulls() {
                        None => rows.iter().map(number).collect(),
                        Some(valid) => {
                            let or_null =
                                |row: &u32| if valid.is_valid(*row as usize) { number(row) } else { NULL };
                            rows.iter().map(or_null).collect()
                        }
                    })
                }
                None => {
                    let taken = take(column, &UInt32Array::from(rows.to_vec()), None)?;
                    Ok(texts.numbers(&taken)?.to_vec())
                }
            },
            Self::Integers(integers) => {
                let values: &[i64] = match column.data_type() {
                    DataType::Int64 => column.as_primitive::<Int64Type>().values(),
                    DataType::Timestamp(TimeUnit::Microsecond, _) => {
                        column.as_primitive::<TimestampMicrosecondType>().values()
                    }
                    other => return internal_err!("a key of whole numbers is {other}"),
                };
                // Times are mostly in the interval of the row before.
                let (mut last, mut number) = (None, NULL);
                let mut of_row = |row: &u32| {
                    let value = values[*row as usize];
                    if last != Some(value) {
                        (last, number) = (Some(value), integers.number(value as u64) + 1);
                    }
                    number
                };
                Ok(match column.nulls() {
                    None => rows.iter().map(of_row).collect(),
                    Some(valid) => {
                        let or_null =
                            |row: &u32| if valid.is_valid(*row as usize) { of_row(row) } else { NULL };
                        rows.iter().map(or_null).collect()
                    }
                })
            }
        }
    }

    /// The column of these numbers, of type `kind`.
    fn column(&self, numbers: &[u32], kind: &DataType) -> Result<ArrayRef> {
        match self {
            Self::Texts(texts) => {
                let key = |number: &u32| number.checked_sub(1).map(|key| key as i32);
                let keys: Int32Array = numbers.iter().map(key).collect();
                Ok(Arc::new(DictionaryArray::try_new(keys, texts.array())?))
            }
            Self::Integers(integers) => {
                let all = integers.all();
                let integer = |number: &u32| number.checked_sub(1).map(|number| all[number as usize] as i64);
                let integers: ArrayRef = Arc::new(numbers.iter().map(integer).collect::<Int64Array>());
                Ok(cast(&integers, kind)?)
            }
        }
    }
}
