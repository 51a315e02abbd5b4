-- A chat for many workspaces, whose ids are uuids and the key of all tables.

CREATE TYPE role AS ENUM ('owner', 'member', 'guest');

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9-]+$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    preferences jsonb NOT NULL DEFAULT '{"theme": "dark"}'
);

CREATE TABLE members (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    id bigserial,
    handle text NOT NULL,
    role role NOT NULL DEFAULT 'member',
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX members_handle ON members (workspace_id, lower(handle));

CREATE TABLE channels (
    workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    id bigserial,
    name text NOT NULL,
    topics text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE messages (
    workspace_id uuid NOT NULL,
    id bigserial,
    posted_at timestamptz NOT NULL DEFAULT now(),
    channel_id bigint NOT NULL,
    author_id bigint NOT NULL,
    body text NOT NULL,
    edited_at timestamptz,
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED,
    PRIMARY KEY (workspace_id, id, posted_at),
    FOREIGN KEY (workspace_id, channel_id) REFERENCES channels ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, author_id) REFERENCES members ON DELETE CASCADE
) PARTITION BY RANGE (posted_at);
CREATE TABLE messages_2023 PARTITION OF messages FOR VALUES FROM ('2023-01-01 UTC') TO ('2024-01-01 UTC');
CREATE TABLE messages_2024 PARTITION OF messages FOR VALUES FROM ('2024-01-01 UTC') TO ('2025-01-01 UTC');
CREATE TABLE messages_rest PARTITION OF messages DEFAULT;
CREATE INDEX messages_search ON messages USING gin (search);
CREATE INDEX messages_edited ON messages (workspace_id, edited_at) WHERE edited_at IS NOT NULL;

CREATE TABLE reactions (
    workspace_id uuid NOT NULL,
    message_id bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    member_id bigint NOT NULL,
    emoji text NOT NULL,
    PRIMARY KEY (workspace_id, message_id, member_id, emoji),
    FOREIGN KEY (workspace_id, message_id, posted_at) REFERENCES messages ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, member_id) REFERENCES members ON DELETE CASCADE
);

CREATE TABLE attachments (
    workspace_id uuid NOT NULL,
    message_id bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    name text NOT NULL,
    content bytea NOT NULL CHECK (octet_length(content) < 100000),
    checksum text GENERATED ALWAYS AS (md5(content)) STORED,
    FOREIGN KEY (workspace_id, message_id, posted_at) REFERENCES messages ON DELETE CASCADE
);
