// A plain HTTP audit service: POST /events, one awaited INSERT, 201. --port=0 --pool=10
import http from 'node:http';
import pg from 'pg';
import { args, insertOne } from './events.mjs';

const pool = new pg.Pool({ max: args.pool });
const server = http.createServer((request, answer) => {
  if (request.method !== 'POST' || request.url !== '/events') { answer.writeHead(404).end(); return; }
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (data) => { body += data; });
  request.on('end', async () => {
    try {
      const event = JSON.parse(body);
      await pool.query(insertOne(event));
      answer.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ id: event.id }));
    } catch (error) { answer.writeHead(500).end(String(error)); }
  });
});
server.listen(args.port, '127.0.0.1', () => console.log(server.address().port));
