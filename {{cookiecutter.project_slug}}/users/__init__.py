"""The team's users: model, migrations, serializer. Seeded by the template once, yours from then on."""
