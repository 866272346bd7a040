window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.explorer = {
  copy: async (clicks, code) => {
    const pressed = window.dash_clientside.callback_context.triggered_id === "copy";
    if (!pressed) return "Copy";
    await navigator.clipboard.writeText(code);
    return "Copied";
  },
};
