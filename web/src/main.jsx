import { render } from "preact";
import "./style.css";

render(<p>mayfly</p>, document.getElementById("app"));
