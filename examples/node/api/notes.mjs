// Vercel's (req, res), with its helpers.
const notes = [{ id: 1, text: 'Each request has a process of its own.' }];

export default function notesOf(req, res) {
  if (req.method === 'POST') {
    notes.push({ id: notes.length + 1, text: req.body.text }); // gone when this request has answered
    res.status(201).json(notes.at(-1));
    return;
  }
  res.json(notes);
}
