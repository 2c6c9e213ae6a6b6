"""The pages people use."""

app_name = "console"
urlpatterns: list[object] = []
