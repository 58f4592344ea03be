from django.urls import path

from . import views

urlpatterns = [
    path("", views.write),
    path("lines", views.lines),
    path("broken", views.broken),
]
