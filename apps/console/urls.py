"""The pages people use. Their addresses are Portuguese because their readers are."""

from django.urls import path
from django.views.i18n import set_language

from apps.console import connectors, mappings, plans, publishing, troubles, views, why

app_name = "console"
urlpatterns = [
    path("eventos/", views.events, name="events"),
    path("eventos/<int:pk>/", views.event, name="event"),
    path("eventos/<int:pk>/reprocessar/", views.reprocess_event, name="reprocess"),
    path("eventos/<int:pk>/simular/", plans.simulate, name="simulate"),
    path("eventos/planos/<uuid:pk>/", plans.page, name="plan"),
    path("eventos/planos/<uuid:pk>/aplicar/", plans.apply, name="apply-plan"),
    path("eventos/planos/<uuid:pk>/simular/", plans.simulate_again, name="simulate-again"),
    path("sincronizacoes/", views.syncs, name="syncs"),
    path("sincronizacoes/<int:pk>/", why.told, name="told"),
    path("pendencias/", troubles.index, name="troubles"),
    path("pedidos/", views.orders, name="orders"),
    path("pedidos/<int:pk>/", views.order, name="order"),
    path("pedidos/<int:pk>/destinatario/", views.order_recipient, name="recipient"),
    path("pedidos/<int:pk>/etiqueta/", views.order_label, name="label"),
    path("pedidos/<int:pk>/notificar/", views.notify_order, name="notify"),
    path("estoque/", views.stock, name="stock"),
    path("estoque/<int:pk>/", views.movements, name="movements"),
    path("estoque/<int:pk>/sincronizar/", why.sync_product, name="sync-product"),
    path("anuncios/", views.listings, name="listings"),
    path("anuncios/<int:pk>/", views.listing, name="listing"),
    path("anuncios/<int:pk>/por-que/", why.why, name="why"),
    path("anuncios/<int:pk>/mapear/", views.map_listing, name="map"),
    path("anuncios/<int:pk>/sincronizar/", views.sync_listing, name="sync-now"),
    path("anuncios/<int:pk>/publicacao/", publishing.listing_rule, name="listing-rule"),
    path("mapeamentos/", mappings.page, name="mappings"),
    path("mapeamentos/sku/", mappings.add_sku, name="map-sku"),
    path("mapeamentos/status/", mappings.add_status, name="map-status"),
    path("mapeamentos/csv/", mappings.download, name="mappings-csv"),
    path("mapeamentos/csv/enviar/", mappings.upload, name="mappings-upload"),
    path("conectores/", connectors.index, name="connectors"),
    path("conectores/novo/", connectors.new, name="new-connector"),
    path("conectores/ml/retorno/", connectors.authorized, name="authorized"),
    path("conectores/<int:pk>/", connectors.page, name="connector"),
    path("conectores/<int:pk>/segredos/", connectors.replace_secrets, name="replace-secrets"),
    path("conectores/<int:pk>/autorizar/", connectors.authorize, name="authorize"),
    path("conectores/<int:pk>/testar/", connectors.test, name="test-connector"),
    path("conectores/<int:pk>/sincronizar/", connectors.sync, name="sync-connector"),
    path("conectores/<int:pk>/importar/", connectors.import_listings, name="import-listings"),
    path("conectores/<int:pk>/importar/cancelar/", connectors.cancel_import, name="cancel-import"),
    path("conectores/<int:pk>/publicacao/", publishing.connector_rule, name="connector-rule"),
    path("conectores/<int:pk>/zeros/", publishing.let_zeros_through, name="let-zeros-through"),
    path("empresa/", views.choose_tenant, name="tenant"),
    path("idioma/", set_language, name="language"),
]
