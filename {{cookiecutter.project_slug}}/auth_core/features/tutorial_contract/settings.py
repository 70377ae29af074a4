"""Settings of the tutorial's contract."""

REST_AUTH = {
    "JWT_SERIALIZER_WITH_EXPIRATION": "auth_core.features.tutorial_contract.serializers.TutorialAnswer"
}
