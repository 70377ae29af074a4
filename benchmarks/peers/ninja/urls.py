from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.urls import path
from ninja import ModelSchema, Schema
from ninja_extra import NinjaExtraAPI
from ninja_jwt.authentication import JWTAuth
from ninja_jwt.controller import NinjaJWTDefaultController


class UserSchema(ModelSchema):
    class Meta:
        model = User
        fields = ("id", "username", "email", "first_name", "last_name")


class NewUser(Schema):
    username: str
    email: str
    password: str


api = NinjaExtraAPI()
api.register_controllers(NinjaJWTDefaultController)


@api.get("/user", response=UserSchema, auth=JWTAuth())
def user(request):
    return request.user


@api.post("/register", response={201: UserSchema})
def register(request, new: NewUser):
    validate_password(new.password)
    return 201, User.objects.create_user(new.username, new.email, new.password)


urlpatterns = [path("api/", api.urls)]
