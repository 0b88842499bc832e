/** Start the tab; called once, when it is first shown. */
export function start(panel) {}
