// Vercel's (req, res).
import probe from './probe.js';

export default (req, res) => probe.serveNode(req, res);
