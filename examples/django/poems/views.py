from django import forms
from django.contrib import messages
from django.http import JsonResponse
from django.shortcuts import redirect, render


class LineForm(forms.Form):
    line = forms.CharField(max_length=80)


def write(request):
    form = LineForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        request.session["lines"] = request.session.get("lines", []) + [form.cleaned_data["line"]]
        messages.success(request, "One more line.")
        return redirect("/")
    return render(request, "write.html", {"form": form, "lines": request.session.get("lines", [])})


def lines(request):
    return JsonResponse({"lines": request.session.get("lines", [])})


def broken(request):
    raise RuntimeError("on purpose")
