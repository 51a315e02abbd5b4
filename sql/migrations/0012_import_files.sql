-- Version 12 of the catalog: the names of imported files, as the user typed them.

ALTER TABLE ringshard.import ADD COLUMN file text;

UPDATE ringshard.meta SET catalog_version = 12;
