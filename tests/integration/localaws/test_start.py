def test_buckets_can_be_made(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="a-first-bucket")
    assert "a-first-bucket" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
