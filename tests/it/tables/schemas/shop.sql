-- A web shop for many merchants: all but the two reference tables has the shop as its key.

CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'cancelled');
CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@ ]+@[^@ ]+$');
CREATE DOMAIN amount AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TYPE parcel AS (carrier text, weight numeric);

CREATE TABLE countries (code char(2) PRIMARY KEY, name text NOT NULL);
CREATE TABLE currencies (code char(3) PRIMARY KEY, digits smallint NOT NULL DEFAULT 2);
INSERT INTO countries VALUES ('DE', 'Deutschland'), ('FR', 'France'), ('CI', 'Côte d''Ivoire'), ('JP', '日本');
INSERT INTO currencies VALUES ('EUR', 2), ('JPY', 0), ('TND', 3);

CREATE TABLE shops (
    id bigint PRIMARY KEY,
    name varchar(60) NOT NULL,
    currency char(3) NOT NULL REFERENCES currencies,
    settings jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE categories (
    shop_id bigint NOT NULL REFERENCES shops ON DELETE CASCADE,
    id integer NOT NULL,
    parent_id integer,
    name text NOT NULL,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, parent_id) REFERENCES categories ON DELETE CASCADE,
    CHECK (parent_id <> id)
);

CREATE TABLE products (
    shop_id bigint NOT NULL REFERENCES shops ON DELETE CASCADE,
    sku text NOT NULL CHECK (sku ~ '^[A-Z]+-[0-9]+$'),
    category_id integer,
    title text NOT NULL,
    price amount NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    attributes jsonb,
    stock integer NOT NULL CHECK (stock >= 0),
    is_active boolean NOT NULL DEFAULT true,
    revision integer,
    updated_at timestamptz,
    PRIMARY KEY (shop_id, sku),
    FOREIGN KEY (shop_id, category_id) REFERENCES categories DEFERRABLE
);
CREATE INDEX products_tags ON products USING gin (tags);
CREATE INDEX products_active ON products (shop_id, price) WHERE is_active;

CREATE TABLE customers (
    shop_id bigint NOT NULL REFERENCES shops ON DELETE CASCADE,
    id integer NOT NULL,
    email email NOT NULL,
    phones text[],
    PRIMARY KEY (shop_id, id)
);
CREATE UNIQUE INDEX customers_email ON customers (shop_id, lower(email));

CREATE TABLE addresses (
    shop_id bigint NOT NULL,
    customer_id integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('billing', 'shipping')),
    street text NOT NULL,
    country char(2) NOT NULL REFERENCES countries,
    PRIMARY KEY (shop_id, customer_id, kind),
    FOREIGN KEY (shop_id, customer_id) REFERENCES customers ON DELETE CASCADE
);

CREATE TABLE orders (
    shop_id bigint NOT NULL REFERENCES shops ON DELETE CASCADE,
    id bigint NOT NULL,
    customer_id integer NOT NULL,
    status order_status NOT NULL DEFAULT 'placed',
    history order_status[] NOT NULL DEFAULT '{placed}',
    payment_id bigint,
    parcels parcel[],
    revision integer,
    updated_at timestamptz,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, customer_id) REFERENCES customers ON DELETE CASCADE,
    CHECK (status NOT IN ('paid', 'shipped') OR payment_id IS NOT NULL)
);
CREATE INDEX orders_open ON orders (shop_id, customer_id) WHERE status = 'placed';

CREATE TABLE order_lines (
    shop_id bigint NOT NULL,
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    price amount NOT NULL,
    total numeric GENERATED ALWAYS AS (quantity * price) STORED,
    PRIMARY KEY (shop_id, order_id, line),
    FOREIGN KEY (shop_id, order_id) REFERENCES orders ON DELETE CASCADE,
    FOREIGN KEY (shop_id, sku) REFERENCES products DEFERRABLE
);

-- An order and its last payment refer to each other.
CREATE TABLE payments (
    shop_id bigint NOT NULL,
    id bigint NOT NULL,
    order_id bigint NOT NULL,
    paid amount NOT NULL,
    currency char(3) NOT NULL REFERENCES currencies,
    details jsonb,
    PRIMARY KEY (shop_id, id),
    FOREIGN KEY (shop_id, order_id) REFERENCES orders ON DELETE CASCADE
);
ALTER TABLE orders ADD CONSTRAINT orders_payment FOREIGN KEY (shop_id, payment_id) REFERENCES payments
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE notes (
    shop_id bigint NOT NULL REFERENCES shops ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    body text NOT NULL
);

-- Each change of a product or an order is counted. The writers say the time, so that it is the same everywhere.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := coalesce(OLD.revision, 0) + 1;
    NEW.updated_at := coalesce(nullif(current_setting('shop.now', true), '')::timestamptz, now());
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();

-- What is ordered is taken from the stock, and comes back with a line that is deleted.
CREATE FUNCTION keep_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE products SET stock = stock + OLD.quantity WHERE (shop_id, sku) = (OLD.shop_id, OLD.sku);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE products SET stock = stock - NEW.quantity WHERE (shop_id, sku) = (NEW.shop_id, NEW.sku);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_stock AFTER INSERT OR DELETE OR UPDATE OF quantity, sku ON order_lines
    FOR EACH ROW EXECUTE FUNCTION keep_stock();
