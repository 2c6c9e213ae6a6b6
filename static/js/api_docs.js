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

SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: false, // it puts a link inside each operation's button, which no screen reader tells apart
  filter: true,
  persistAuthorization: false,
  requestInterceptor: withCsrfToken,
  validatorUrl: null,
  onComplete: () => document.getElementById("servers")?.setAttribute("aria-label", place.dataset.server),
});
