//! Statements of many shapes, the same for the same seed. The rows of each have one right order, or are compared as a set.

use crate::support::random::Random;

/// A statement, and whether its rows are in order.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) sql: String,
    pub(crate) is_ordered: bool,
}

/// What stands in FROM, with expressions over it: texts, numbers, and others that can be sorted.
struct Source {
    from: &'static str,
    numbers: &'static [&'static str],
    texts: &'static [&'static str],
    key: &'static str,
}

const SOURCES: [Source; 11] = [
    Source {
        from: "users u",
        numbers: &["u.user_id", "score", "u.score * 2", "user_id % 5"],
        texts: &["name", "u.region", "upper(region)", "active::text", "u.joined"],
        key: "u.user_id",
    },
    Source {
        from: "orders",
        numbers: &["total", "number", "orders.plan", "(doc ->> 'n')::int"],
        texts: &["tags", "doc ->> 'kind'", "waited", "orders.tags[1]"],
        key: "user_id",
    },
    Source {
        from: "users AS u JOIN orders AS o ON o.user_id = u.user_id",
        numbers: &["o.total", "score", "o.number", "u.user_id"],
        texts: &["u.name", "region", "waited", "o.doc"],
        key: "o.user_id",
    },
    Source {
        from: "users u LEFT JOIN orders o ON o.user_id = u.user_id AND o.total > 40",
        numbers: &["o.total", "u.score", "o.number"],
        texts: &["u.name", "region", "tags"],
        key: "u.user_id",
    },
    Source {
        from: "orders o JOIN plans p ON p.plan = o.plan",
        numbers: &["price", "total", "o.number", "total + price"],
        texts: &["title", "o.waited"],
        key: "o.user_id",
    },
    Source {
        from: "users JOIN orders USING (user_id) LEFT JOIN plans USING (plan)",
        numbers: &["price", "total", "score"],
        texts: &["title", "name", "region"],
        key: "user_id",
    },
    Source {
        from: "plans p LEFT JOIN orders o ON o.plan = p.plan",
        numbers: &["price", "total"],
        texts: &["title"],
        key: "o.user_id",
    },
    Source {
        from: "orders a JOIN orders b ON a.user_id = b.user_id AND a.number < b.number",
        numbers: &["a.total", "b.total - a.total", "b.number"],
        texts: &["a.tags", "b.waited"],
        key: "b.user_id",
    },
    Source {
        from: "(SELECT user_id, count(*) AS n, sum(total) AS s FROM orders GROUP BY user_id) AS x JOIN users AS u ON u.user_id = x.user_id",
        numbers: &["n", "s", "u.score"],
        texts: &["u.name", "region"],
        key: "x.user_id",
    },
    Source {
        from: "users u JOIN orders o ON o.number = u.user_id % 4",
        numbers: &["o.total", "u.score"],
        texts: &["u.region"],
        key: "u.user_id",
    },
    Source {
        from: "public.users u, LATERAL generate_series(1, 2) AS g",
        numbers: &["g", "score", "u.user_id"],
        texts: &["region", "name"],
        key: "u.user_id",
    },
];

pub(crate) struct Generator(Random);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random(seed))
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.0.below(one_in) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[usize::try_from(self.0.below(list.len() as u64)).unwrap()]
    }

    fn source(&mut self) -> &'static Source {
        &SOURCES[usize::try_from(self.0.below(SOURCES.len() as u64)).unwrap()]
    }

    fn value(&mut self, source: &Source) -> String {
        let texts = self.chance(2);
        self.of(if texts { source.texts } else { source.numbers }).to_owned()
    }

    fn condition(&mut self, source: &Source) -> String {
        let key = source.key;
        let (one, two) = (self.0.below(200), self.0.below(200));
        let number = self.of(source.numbers).to_owned();
        match self.0.below(12) {
            0 => format!("{key} = {one}"),
            1 => format!("{key} IN ({one}, {two}, -7)"),
            2 => format!("{key} BETWEEN {} AND {}", one.min(two), one.max(two)),
            3 => format!("{number} > {}", one % 50),
            4 => format!("{number} IS NOT NULL"),
            5 => format!("EXISTS (SELECT 1 FROM orders e WHERE e.user_id = {key} AND e.total < {one})"),
            6 => format!("NOT EXISTS (SELECT FROM orders e WHERE e.user_id = {key} AND e.number = 3)"),
            7 => format!("{key} IN (SELECT e.user_id FROM orders e WHERE e.total > {one})"),
            8 => format!("{number} > (SELECT avg(price) FROM plans)"),
            9 => format!("({key} = {one} OR {number} < {two})"),
            10 => format!("{number} >= (SELECT min(total) FROM orders)"),
            _ => format!("{key} = '{one}'::bigint"),
        }
    }

    fn conditions(&mut self, source: &Source) -> String {
        let all: Vec<String> = (0..self.0.below(3)).map(|_| self.condition(source)).collect();
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }

    fn aggregate(&mut self, source: &Source) -> String {
        let number = self.of(source.numbers).to_owned();
        let value = self.value(source);
        let text = self.of(source.texts).to_owned();
        let aggregate = match self.0.below(16) {
            0 | 1 => "count(*)".to_owned(),
            2 => format!("count({value})"),
            3 | 4 => format!("sum({number})"),
            5 | 6 => format!("avg({number})"),
            7 => format!("min({number})"),
            8 => format!("max({number})"),
            9 => format!("bool_or({number} > 20)"),
            10 => format!("count(DISTINCT {value})"),
            11 => format!("string_agg({text}::text, ',' ORDER BY {text}::text, {number})"),
            12 => format!("array_agg(DISTINCT {number})"),
            13 => format!("percentile_cont(0.5) WITHIN GROUP (ORDER BY {number})"),
            14 => format!("round(stddev({number}), 6)"),
            _ => format!("every({number} IS NOT NULL)"),
        };
        if self.chance(5) && !aggregate.starts_with("round") {
            format!("{aggregate} FILTER (WHERE {number} > 5)")
        } else {
            aggregate
        }
    }

    /// ORDER BY all output columns, LIMIT and OFFSET.
    fn tail(&mut self, columns: u64) -> (String, bool) {
        if self.chance(3) {
            return (String::new(), false);
        }
        let first = self.0.below(columns);
        let order: Vec<String> = (0..columns)
            .map(|at| {
                let direction = self.of(&["", " DESC", " DESC NULLS LAST", " ASC NULLS FIRST"]);
                format!("{}{direction}", (first + at) % columns + 1)
            })
            .collect();
        let limit = match self.0.below(4) {
            0 => format!(" LIMIT {}", self.0.below(30)),
            1 => format!(" LIMIT {} OFFSET {}", self.0.below(20), self.0.below(20)),
            2 => format!(" OFFSET {} ROWS FETCH FIRST {} ROWS ONLY", self.0.below(9), 1 + self.0.below(9)),
            _ => String::new(),
        };
        (format!(" ORDER BY {}{limit}", order.join(", ")), true)
    }

    fn rows(&mut self) -> Generated {
        let source = self.source();
        let count = 1 + self.0.below(3);
        let items: Vec<String> = (0..count)
            .map(|at| {
                let value = self.value(source);
                if self.chance(3) { format!("{value} AS c{at}") } else { value }
            })
            .collect();
        let distinct = if self.chance(4) { "DISTINCT " } else { "" };
        let (conditions, (tail, is_ordered)) = (self.conditions(source), self.tail(count));
        let sql = format!("SELECT {distinct}{} FROM {}{conditions}{tail}", items.join(", "), source.from);
        Generated { sql, is_ordered }
    }

    fn groups(&mut self) -> Generated {
        let source = self.source();
        let groups: Vec<String> = (0..self.0.below(3)).map(|_| self.value(source)).collect();
        let mut items: Vec<String> = groups.clone();
        (0..=self.0.below(2)).for_each(|_| items.push(self.aggregate(source)));
        let (first, second) = (self.aggregate(source), self.0.below(60));
        if self.chance(6) {
            items.push(
                format!("coalesce(sum(number_of), 0) + {second}").replace("number_of", source.numbers[0]),
            );
        }
        let by_position = self.chance(2);
        let by = groups
            .iter()
            .enumerate()
            .map(|(at, group)| if by_position { (at + 1).to_string() } else { group.clone() });
        let by: Vec<String> = by.collect();
        let by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
        let having = match self.0.below(5) {
            0 => format!(" HAVING count(*) > {}", second % 4),
            1 if first.starts_with("sum") => format!(" HAVING {first} > {second}"),
            _ => String::new(),
        };
        let count = items.len() as u64;
        let (conditions, (tail, is_ordered)) = (self.conditions(source), self.tail(count));
        let sql = format!("SELECT {} FROM {}{conditions}{by}{having}{tail}", items.join(", "), source.from);
        Generated { sql, is_ordered }
    }

    /// Groups, windows, queries in queries, whose key keeps them on a shard or does not.
    fn special(&mut self) -> Generated {
        let source = self.source();
        let (key, from) = (source.key, source.from);
        let number = self.of(source.numbers).to_owned();
        let n = self.0.below(50);
        let conditions = self.conditions(source);
        let (sql, is_ordered) = match self.0.below(14) {
            0 => (
                format!(
                    "SELECT {key}, count(*), array_agg({number} ORDER BY {number}) FROM {from}{conditions} GROUP BY {key} HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 7"
                ),
                true,
            ),
            1 => (
                format!(
                    "SELECT {key}, {number}, rank() OVER (PARTITION BY {key} ORDER BY {number}) FROM {from}{conditions}"
                ),
                false,
            ),
            2 => (format!("SELECT {number}, rank() OVER (ORDER BY {number}) FROM {from}{conditions}"), false),
            3 => (
                format!(
                    "SELECT {number} AS v FROM {from}{conditions} UNION ALL SELECT number FROM orders WHERE number > 2"
                ),
                false,
            ),
            4 => (
                format!(
                    "SELECT {number}::numeric AS v FROM {from}{conditions} UNION SELECT total FROM orders ORDER BY v LIMIT 9"
                ),
                true,
            ),
            5 => (
                format!(
                    "WITH w AS (SELECT {key} AS k, {number} AS v FROM {from}{conditions}) SELECT count(*), sum(v) FROM w"
                ),
                false,
            ),
            6 => (
                format!(
                    "WITH w AS (SELECT user_id AS k, max(total) AS v FROM orders GROUP BY 1) SELECT u.user_id, v FROM w JOIN users u ON u.user_id = k WHERE v > {n} ORDER BY 1"
                ),
                true,
            ),
            7 => (
                format!(
                    "SELECT DISTINCT ON ({number}) {number}, {key} FROM {from}{conditions} ORDER BY {number}, {key} DESC"
                ),
                true,
            ),
            8 => (
                format!(
                    "SELECT max(n) FROM (SELECT count(*) AS n FROM {from}{conditions} GROUP BY {key}) AS g"
                ),
                false,
            ),
            9 => (format!("SELECT {number} FROM {from}{conditions} EXCEPT SELECT number FROM orders"), false),
            10 => (
                format!(
                    "SELECT u.user_id, (SELECT count(*) FROM orders i WHERE i.user_id = u.user_id) AS n FROM users u WHERE u.user_id > {n} ORDER BY n DESC, 1 LIMIT 5"
                ),
                true,
            ),
            11 => (
                "SELECT region, count(*) AS n FROM users GROUP BY region HAVING count(*) > (SELECT count(*) FROM plans) ORDER BY n, region".to_owned(),
                true,
            ),
            12 => (
                format!(
                    "SELECT * FROM (SELECT user_id, score FROM users ORDER BY score, user_id LIMIT {}) AS t ORDER BY 1",
                    n + 1
                ),
                true,
            ),
            _ => (
                "SELECT lower(region) AS region, count(*) FROM users GROUP BY region ORDER BY 1, 2".to_owned(),
                true,
            ),
        };
        Generated { sql, is_ordered }
    }

    pub(crate) fn next(&mut self) -> Generated {
        match self.0.below(5) {
            0 | 1 => self.rows(),
            2 | 3 => self.groups(),
            _ => self.special(),
        }
    }
}
