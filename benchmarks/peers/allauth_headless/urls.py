from django.contrib.auth.models import User
from django.urls import include, path
from rest_framework.generics import RetrieveAPIView
from rest_framework.serializers import ModelSerializer


class UserSerializer(ModelSerializer):
    class Meta:
        model = User
        fields = ("pk", "username", "email", "first_name", "last_name")


class UserView(RetrieveAPIView):
    serializer_class = UserSerializer

    def get_object(self):
        return self.request.user


urlpatterns = [
    path("_allauth/", include("allauth.headless.urls")),
    path("user/", UserView.as_view()),
]
