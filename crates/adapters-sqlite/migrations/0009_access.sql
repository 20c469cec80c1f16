-- SQLite has no roles and no policies: whoever opens the file sees all of it, and the scope of each
-- read is the service's to keep. The number is the other store's.
SELECT 1;
