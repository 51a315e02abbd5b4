//! A web shop for many merchants, with what such schemas have (`schemas/shop.sql`), grown and shrunk under its writers.

use crate::support::shard_clients::Refusal;
use crate::support::unsharded_copy::{Application, Work, Writer, with_tables};

const SHOPS: u64 = 24;

const SHOP: Application = Application {
    sharded: &[
        ("shops", "id", None),
        ("categories", "shop_id", None),
        ("products", "shop_id", None),
        ("customers", "shop_id", None),
        ("addresses", "shop_id", None),
        ("orders", "shop_id", None),
        ("order_lines", "shop_id", None),
        ("payments", "shop_id", None),
        ("notes", "shop_id", None),
    ],
    references: &["countries", "currencies"],
    changes: &[],
    step,
};

/// A shop with categories, products and customers.
const OPEN: [&str; 5] = [
    "INSERT INTO shops SELECT $1::bigint, 'Shop ' || $1, (ARRAY['EUR', 'JPY', 'TND'])[$2::bigint % 3 + 1], jsonb_build_object('seed', $2::bigint)",
    "INSERT INTO categories SELECT $1::bigint, n, CASE WHEN n > 1 THEN n / 2 END, 'Category ' || $2::bigint \
     FROM generate_series(1, 7) AS n",
    "INSERT INTO products (shop_id, sku, category_id, title, price, tags, attributes, stock, is_active) \
     SELECT $1::bigint, 'SKU-' || n, n % 7 + 1, repeat('ü\"', n), n * 1.25, ARRAY['n' || n, 'a, \"b\"', ''], \
         CASE WHEN n % 3 > 0 THEN jsonb_build_object('weight', n / 8.0, 'sizes', ARRAY[n, $2::bigint]) END, 100000, n % 4 > 0 \
     FROM generate_series(1, 12) AS n",
    "INSERT INTO customers SELECT $1::bigint, n, 'Customer-' || n || '@example.com', CASE WHEN $2::bigint % 2 = 0 THEN ARRAY['+49 ' || n, NULL] END \
     FROM generate_series(1, 6) AS n",
    "INSERT INTO addresses SELECT $1::bigint, n, (ARRAY['billing', 'shipping'])[k], E'Rue\\n' || $2::bigint, (ARRAY['DE', 'FR', 'CI', 'JP'])[n % 4 + 1] \
     FROM generate_series(1, 6) AS n, generate_series(1, 2) AS k",
];

/// One transaction within a shop of the writer's own.
fn step(writer: &mut Writer) {
    let shop = writer.own(SHOPS) + 1;
    let seed = writer.below(1 << 40);
    let Some(row) = writer.read(
        "SELECT (SELECT id FROM customers WHERE shop_id = $1 ORDER BY hashint8(id # $2::bigint), id LIMIT 1), \
                (SELECT id FROM orders WHERE shop_id = $1 AND status = 'placed' ORDER BY hashint8(id # $2::bigint), id LIMIT 1), \
                (SELECT id FROM orders WHERE shop_id = $1 AND status = 'paid' ORDER BY hashint8(id # $2::bigint), id LIMIT 1), \
                EXISTS (SELECT FROM categories WHERE shop_id = $1 AND id = 3) FROM shops WHERE id = $1",
        &[&shop, &seed],
    ) else {
        return transact(writer, seed, |work| OPEN.iter().try_for_each(|sql| work.write(sql, &[&shop, &seed])));
    };
    let (customer, placed, paid): (Option<i32>, Option<i64>, Option<i64>) =
        (row.get(0), row.get(1), row.get(2));
    let has_category: bool = row.get(3);
    match (writer.below(16), customer, placed, paid) {
        (0..=4, Some(customer), ..) => transact(writer, seed, |work| place(work, shop, customer, seed)),
        (5..=6, _, Some(order), _) => transact(writer, seed, |work| pay(work, shop, order, seed)),
        (7, _, Some(order), _) => transact(writer, seed, |work| cancel(work, shop, order)),
        (8, _, Some(order), _) => transact(writer, seed, |work| {
            let quantity =
                "UPDATE order_lines SET quantity = quantity % 5 + 1 WHERE (shop_id, order_id) = ($1, $2)";
            work.write(quantity, &[&shop, &order])
        }),
        (9, _, _, Some(order)) => transact(writer, seed, |work| {
            let ship = "UPDATE orders SET status = 'shipped', history = history || 'shipped'::order_status, \
                            parcels = ARRAY[ROW('a, (\"b\")', 1.50)::parcel, NULL] WHERE (shop_id, id) = ($1, $2)";
            work.write(ship, &[&shop, &order])
        }),
        (10, Some(customer), ..) => transact(writer, seed, |work| {
            // With the addresses and orders.
            work.write("DELETE FROM customers WHERE (shop_id, id) = ($1, $2)", &[&shop, &customer])
        }),
        (11, _, _, Some(order)) => transact(writer, seed, |work| {
            work.write("DELETE FROM orders WHERE (shop_id, id) = ($1, $2)", &[&shop, &order])
        }),
        (12, ..) => transact(writer, seed, |work| {
            let customer =
                "INSERT INTO customers VALUES ($1, $2::bigint % 1000000 + 10, 'c' || $2 || '@example.org')";
            work.write(customer, &[&shop, &seed])
        }),
        (13, ..) => transact(writer, seed, |work| change_categories(work, shop, has_category)),
        (14, ..) if seed % 4 == 0 => transact(writer, seed, |work| {
            // Some of its tables refer to each other.
            work.execute("SET CONSTRAINTS ALL DEFERRED", &[])?;
            work.write("DELETE FROM shops WHERE id = $1", &[&shop])
        }),
        _ => transact(writer, seed, |work| {
            let price = "UPDATE products SET price = price + 0.01, is_active = NOT is_active, tags = tags || ($2::bigint % 9)::text, \
                             attributes = attributes || jsonb_build_object('seed', $2::bigint) WHERE shop_id = $1 AND sku = 'SKU-' || ($2::bigint % 12 + 1)";
            work.write(price, &[&shop, &seed])
        }),
    }
}

/// Says the time to the triggers first.
fn transact(writer: &mut Writer, seed: i64, work: impl Fn(&mut Work<'_, '_>) -> Result<(), Refusal>) {
    writer.transact(|transaction| {
        let now = "SELECT set_config('shop.now', ('2024-01-01'::timestamp + $1::bigint % 1000000 * interval '1 s')::text, true)";
        transaction.execute(now, &[&seed])?;
        work(transaction)
    });
}

fn place(work: &mut Work<'_, '_>, shop: i64, customer: i32, order: i64) -> Result<(), Refusal> {
    let insert = "INSERT INTO orders (shop_id, id, customer_id) VALUES ($1, $2, $3)";
    work.write(insert, &[&shop, &order, &customer])?;
    let lines = "INSERT INTO order_lines (shop_id, order_id, line, sku, quantity, price) \
                 SELECT shop_id, $2, n, sku, n, price FROM generate_series(1, $2::bigint % 3 + 1) AS n \
                 JOIN products ON shop_id = $1 AND sku = 'SKU-' || ($2 + n) % 12 + 1";
    work.write(lines, &[&shop, &order])
}

/// The order refers to its payment before that is there.
fn pay(work: &mut Work<'_, '_>, shop: i64, order: i64, payment: i64) -> Result<(), Refusal> {
    let update = "UPDATE orders SET status = 'paid', history = history || 'paid'::order_status, payment_id = $3 \
                  WHERE (shop_id, id) = ($1, $2)";
    work.write(update, &[&shop, &order, &payment])?;
    let insert = "INSERT INTO payments SELECT $1, $3, $2, sum(total), (SELECT currency FROM shops WHERE id = $1), \
                      '{\"card\": \"**** 1\", \"tries\": [1, null]}' FROM order_lines WHERE (shop_id, order_id) = ($1, $2)";
    work.write(insert, &[&shop, &order, &payment])
}

fn cancel(work: &mut Work<'_, '_>, shop: i64, order: i64) -> Result<(), Refusal> {
    work.write("DELETE FROM order_lines WHERE (shop_id, order_id) = ($1, $2)", &[&shop, &order])?;
    let update = "UPDATE orders SET status = 'cancelled', history = history || 'cancelled'::order_status WHERE (shop_id, id) = ($1, $2)";
    work.write(update, &[&shop, &order])?;
    let note = "INSERT INTO notes (number, shop_id, body) OVERRIDING SYSTEM VALUE VALUES (DEFAULT, $1, 'cancelled ' || $2::bigint) RETURNING number";
    work.insert(note, &[&shop, &order]).map(drop)
}

/// Deletes a category with those in it, or makes them again.
fn change_categories(work: &mut Work<'_, '_>, shop: i64, has_it: bool) -> Result<(), Refusal> {
    if has_it {
        work.write(
            "UPDATE products SET category_id = 1 WHERE shop_id = $1 AND category_id IN (3, 6, 7)",
            &[&shop],
        )?;
        return work.write("DELETE FROM categories WHERE (shop_id, id) = ($1, 3)", &[&shop]);
    }
    let again = "INSERT INTO categories VALUES ($1, 7, 3, 'z'), ($1, 6, 3, 'y'), ($1, 3, 1, 'x')";
    work.write(again, &[&shop])?;
    let back = "UPDATE products SET category_id = right(sku, 1)::integer % 2 + 6 WHERE shop_id = $1 AND category_id = 1";
    work.write(back, &[&shop])
}

#[test]
fn a_web_shop_grows_to_four_shards_and_shrinks_to_two_while_it_sells() {
    SHOP.grow_and_shrink(&with_tables(include_str!("schemas/shop.sql")), 120);
}
