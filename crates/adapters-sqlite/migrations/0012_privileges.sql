-- SQLite has no roles to give privileges to. The number is the other store's.
SELECT 1;
