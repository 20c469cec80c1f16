-- SQLite has no roles to take privileges from, and no policies. The number is the other store's.
SELECT 1;
