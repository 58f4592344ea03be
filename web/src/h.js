// What JSX becomes.
export { h, Fragment } from "preact";
