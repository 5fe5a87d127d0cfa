def test_signing_up_gives_tokens_that_open_the_api(owner):
    response = owner.get("/api/v1/users/me")

    assert response.status_code == 200, response.content
    assert response.json()["email"] == "owner@example.com"
