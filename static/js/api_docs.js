/* The API's page: Swagger UI on the hub's own OpenAPI document. */
"use strict";

const place = document.getElementById("swagger-ui");

/* A signed-in person may try changes: Django wants the cookie's token in a header. */
function withCsrfToken(request) {
  const cookie = document.cookie.split("; ").find((pair) => /^(__Host-)?csrftoken=/.test(pair));
  const isOurs = new URL(request.url, document.baseURI).origin === location.origin;
  if (cookie && isOurs && request.method && request.method !== "GET") {
    request.headers["X-CSRFToken"] = decodeURIComponent(cookie.split("=")[1]);
  }
  return request;
}

/* Swagger UI's list of servers has no name of its own, and is drawn at a moment it does not tell. */
function nameServers() {
  const list = document.getElementById("servers");
  if (list && !list.hasAttribute("aria-label")) list.setAttribute("aria-label", place.dataset.server);
}
new MutationObserver(nameServers).observe(place, { childList: true, subtree: true });

SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: false, // it puts a link inside each operation's button, which no screen reader tells apart
  filter: true,
  persistAuthorization: false,
  requestInterceptor: withCsrfToken,
  validatorUrl: null,
});
