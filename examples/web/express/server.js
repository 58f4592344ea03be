// An Express program as everybody writes it: nothing in it knows of mayfly.
const express = require('express');

const app = express();
const notes = [];

app.use(express.json());

app.get('/healthz', (req, res) => res.send('ok'));

app.get('/notes', (req, res) => res.json(notes));

app.post('/notes', (req, res) => {
  notes.push(req.body);
  res.status(201).json(req.body);
});

// Server-sent events: each goes out as it is written.
app.get('/ticks', (req, res) => {
  let n = 0;

  res.writeHead(200, {'Content-Type': 'text/event-stream'});
  const timer = setInterval(() => {
    res.write(`data: ${++n}\n\n`);
    if (n === 3) {
      clearInterval(timer);
      res.end();
    }
  }, 100);
  req.on('close', () => clearInterval(timer));
});

const server = app.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`));

process.on('SIGTERM', () => server.close(() => process.exit(0)));
